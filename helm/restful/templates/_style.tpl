{{/* What makes the style: who calls whom over HTTP, and whether there is Kafka. */}}
{{- define "style" -}}
kafka: false
calls:
  gateway: [billing, notification, order]
  # The orchestrator.
  order: [billing, notification]
  billing: []
  notification: []
{{- end }}
