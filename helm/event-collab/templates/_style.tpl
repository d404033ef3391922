{{/* What makes the style: who calls whom over HTTP, and whether there is Kafka. */}}
{{- define "style" -}}
kafka: true
calls:
  # Reads, and what is passed on in every style.
  gateway: [billing, notification, order]
  # Fat events: nobody asks anybody.
  order: []
  billing: []
  notification: []
{{- end }}
