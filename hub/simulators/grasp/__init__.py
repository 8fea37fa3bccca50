"""An ERP that speaks as 管家婆 (and 章鱼侠) does to self-built shops."""
