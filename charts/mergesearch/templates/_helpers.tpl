{{/* The chart's name in labels. */}}
{{- define "mergesearch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the release's objects; a release named after the chart is not named twice. */}}
{{- define "mergesearch.fullname" -}}
{{- $name := include "mergesearch.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What selects the operator's pods. Can't change between versions. */}}
{{- define "mergesearch.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mergesearch.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "mergesearch.labels" -}}
{{ include "mergesearch.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mergesearch
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "mergesearch.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "mergesearch.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* An image's reference: `include "mergesearch.image" (list . .Values.image)`. */}}
{{- define "mergesearch.image" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{/* What the operator may do in each namespace whose searches it runs. */}}
{{- define "mergesearch.operatorRules" -}}
- apiGroups: [mergesearch.dev]
  resources: [mergesearches]
  verbs: [get, list, watch, patch, update]
- apiGroups: [mergesearch.dev]
  resources: [mergesearches/status]
  verbs: [get, patch, update]
# Owner references that block deletion need it where the API server enforces them.
- apiGroups: [mergesearch.dev]
  resources: [mergesearches/finalizers]
  verbs: [update]
- apiGroups: [mergesearch.dev]
  resources: [mergesearchjournals]
  verbs: [get, list, watch, create, update, patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
# Only pods lost with their node are deleted.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
# Quota and Pod Security refusals show only as Events of a Job.
- apiGroups: [""]
  resources: [events]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "mergesearch.subjects" -}}
- kind: ServiceAccount
  name: {{ include "mergesearch.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
