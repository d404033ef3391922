{{/* What makes the style: who calls whom, by which protocol, and who uses Kafka. */}}
{{- define "style" -}}
kafka: []
# Between services: clients speak HTTP with the gateway.
protocol: grpc
calls:
  gateway: [billing, notification, order]
  # The orchestrator.
  order: [billing, notification]
  billing: []
  notification: []
{{- end }}
