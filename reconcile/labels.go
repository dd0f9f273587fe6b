package reconcile

import "github.com/stackrun/stack/reconcile/bundle"

// Labels that docker compose writes, which other tools look for, and ours. Package bundle writes those of containers.
const (
	labelProject     = bundle.LabelProject
	labelService     = bundle.LabelService
	labelNumber      = bundle.LabelNumber
	labelOneOff      = bundle.LabelOneOff
	labelHash        = bundle.LabelHash
	labelImage       = bundle.LabelImage
	labelVersion     = bundle.LabelVersion
	labelDependsOn   = bundle.LabelDependsOn
	labelWorkingDir  = bundle.LabelWorkingDir
	labelConfigFiles = bundle.LabelConfigFiles
	labelNetwork     = bundle.LabelNetwork
	labelVolume      = bundle.LabelVolume

	labelName      = bundle.LabelName
	labelWant      = bundle.LabelWant
	labelAnonymous = bundle.LabelAnonymous
)
