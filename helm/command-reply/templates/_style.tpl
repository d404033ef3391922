{{/* What makes the style: who calls whom, by which protocol, and who uses Kafka. */}}
{{- define "style" -}}
# Not the gateway: it passes on what clients ask for, and waits for the order service.
kafka: [billing, notification, order, ticket]
protocol: http
calls:
  # Reads, orders and bookings: every request is passed on.
  gateway: [billing, notification, order, ticket]
  # The orchestrator commands the others over Kafka, and they answer there.
  order: []
  billing: []
  notification: []
  ticket: []
{{- end }}
