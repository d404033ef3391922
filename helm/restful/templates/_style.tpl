{{/* What makes the style: who calls whom, by which protocol, and whether there is Kafka. */}}
{{- define "style" -}}
kafka: false
protocol: http
calls:
  gateway: [billing, notification, order]
  # The orchestrator.
  order: [billing, notification]
  billing: []
  notification: []
{{- end }}
