// Package label names the labels of containers, networks and volumes, from which everything that is on the host can be told again. Those of docker compose
// are as it writes them: scripts and other tools look for them.
package label

// Labels of containers, networks and volumes. The first block is docker compose's; scripts and other tools look for it.
const (
	Project     = "com.docker.compose.project"
	Service     = "com.docker.compose.service"
	Number      = "com.docker.compose.container-number"
	OneOff      = "com.docker.compose.oneoff" // True or False
	Slug        = "com.docker.compose.slug"
	Hash        = "com.docker.compose.config-hash"
	Image       = "com.docker.compose.image"
	Version     = "com.docker.compose.version"
	DependsOn   = "com.docker.compose.depends_on"
	WorkingDir  = "com.docker.compose.project.working_dir"
	ConfigFiles = "com.docker.compose.project.config_files"
	Hook        = "com.docker.compose.hook" // pre_start, on the container of a step
	Network     = "com.docker.compose.network"
	Volume      = "com.docker.compose.volume"

	Name      = "dev.stackrun.name"      // on sandboxes: shop-web-1
	Want      = "dev.stackrun.want"      // on networks and volumes: plan.Encode of what it was made as
	Anonymous = "dev.stackrun.anonymous" // on volumes: the target
)

// Reserved is the prefix that the Compose specification keeps for the tool: what an image or a file says below it is
// dropped, so that no container passes for one of another service.
const Reserved = "com.docker.compose."

// ComposeVersion is whose labels these are.
const ComposeVersion = "5.5.0"
