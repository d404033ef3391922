{{/* What makes the style: who calls whom, by which protocol, and who uses Kafka. */}}
{{- define "style" -}}
kafka: []
protocol: http
calls:
  gateway: [billing, notification, order]
  # The orchestrator.
  order: [billing, notification]
  billing: []
  notification: []
{{- end }}
