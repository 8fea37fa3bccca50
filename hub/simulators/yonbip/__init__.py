"""An ERP that speaks as 用友 YonBIP does: sales orders that are saved, submitted and audited."""
