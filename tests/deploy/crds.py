"""What the kinds that Kubernetes itself does not know may hold: the fields that we use, as their projects define them.

RabbitMQ's: rabbitmq/messaging-topology-operator and rabbitmq/cluster-operator, api/v1beta1/*_types.go. PodMonitor:
prometheus-operator, pkg/apis/monitoring/v1. Strict: a field that is not here is a mistake, or missing here.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
FREE: Schema = {"type": "object"}
COUNT: Schema = {"type": "integer"}


def strict(required: str = "", **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def among(*words: str) -> Schema:
    return {"enum": [*words]}


def many(items: Schema) -> Schema:
    return {"type": "array", "items": items}


CLUSTER = strict("name", name={"const": "hub-rabbitmq"}, namespace=TEXT)
RETAIN = among("delete", "retain")
VHOST = {"type": "string", "minLength": 1}
OBJECT = "rabbitmqClusterReference"


def spec(required: str, **properties: Schema) -> Schema:
    return strict(f"{required} {OBJECT}", **properties, rabbitmqClusterReference=CLUSTER)


TLS = strict(
    ca=strict("secret", secret=strict("name key", name=TEXT, key=TEXT)),
    serverName=TEXT,
)
RELABELING = strict("targetLabel replacement", targetLabel=TEXT, replacement=TEXT)
ENDPOINT = strict(
    "port",
    port=TEXT,
    path=TEXT,
    interval=TEXT,
    scrapeTimeout=TEXT,
    scheme=among("http", "https"),
    params=FREE,
    tlsConfig=TLS,
    relabelings=many(RELABELING),
)

SPECS: dict[str, Schema] = {
    "Vhost": spec(
        "name",
        name=VHOST,
        tracing=FLAG,
        tags=many(TEXT),
        defaultQueueType=among("quorum", "classic", "stream"),
        deletionPolicy=RETAIN,
    ),
    "User": spec(
        "importCredentialsSecret",
        tags=many(among("management", "policymaker", "monitoring", "administrator")),
        importCredentialsSecret=strict("name", name=TEXT),
    ),
    "Permission": spec(
        "vhost user permissions",
        vhost=VHOST,
        user=TEXT,
        permissions=strict("configure write read", configure=TEXT, write=TEXT, read=TEXT),
    ),
    "TopicPermission": spec(
        "vhost user permissions",
        vhost=VHOST,
        user=TEXT,
        permissions=strict("exchange write read", exchange=TEXT, write=TEXT, read=TEXT),
    ),
    "Exchange": spec(
        "name vhost type durable",
        name=TEXT,
        vhost=VHOST,
        type=among("direct", "fanout", "headers", "topic"),
        durable=FLAG,
        autoDelete=FLAG,
        arguments=FREE,
    ),
    "Queue": spec(
        "name vhost type durable",
        name=TEXT,
        vhost=VHOST,
        type=TEXT,
        durable=FLAG,
        autoDelete=FLAG,
        deleteIfEmpty=FLAG,
        deleteIfUnused=FLAG,
        arguments=FREE,
        deletionPolicy=RETAIN,
    ),
    "Binding": spec(
        "vhost source destination destinationType",
        vhost=VHOST,
        source=TEXT,
        destination=TEXT,
        destinationType=among("exchange", "queue"),
        routingKey=TEXT,
        arguments=FREE,
    ),
    "Policy": spec(
        "name vhost pattern definition",
        name=TEXT,
        vhost=VHOST,
        pattern=TEXT,
        applyTo=among("queues", "classic_queues", "quorum_queues", "exchanges", "all"),
        priority=COUNT,
        definition=FREE,
    ),
    "RabbitmqCluster": strict(
        "replicas image persistence resources tls",
        replicas=among(1, 3, 5),  # type: ignore[arg-type]
        image=TEXT,
        resources=FREE,
        persistence=strict("storage", storage=TEXT, storageClassName=TEXT),
        tls=strict("secretName", secretName=TEXT, caSecretName=TEXT, disableNonTLSListeners=FLAG),
        rabbitmq=strict(
            additionalConfig={"type": "string", "maxLength": 2000},
            additionalPlugins=many({"type": "string", "pattern": r"^\w+$"}),
        ),
        override=strict(statefulSet=FREE, service=FREE),
    ),
    "PodMonitor": strict(
        "selector podMetricsEndpoints",
        jobLabel=TEXT,
        selector=strict("matchLabels", matchLabels=FREE),
        podMetricsEndpoints=many(ENDPOINT),
    ),
}
VERSIONS = dict.fromkeys(SPECS, "rabbitmq.com/v1beta1") | {"PodMonitor": "monitoring.coreos.com/v1"}
