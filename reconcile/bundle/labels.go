package bundle

// Labels of containers, networks and volumes. The first block is docker compose's; scripts and other tools look for it.
const (
	LabelProject     = "com.docker.compose.project"
	LabelService     = "com.docker.compose.service"
	LabelNumber      = "com.docker.compose.container-number"
	LabelOneOff      = "com.docker.compose.oneoff" // True or False
	LabelSlug        = "com.docker.compose.slug"
	LabelHash        = "com.docker.compose.config-hash"
	LabelImage       = "com.docker.compose.image"
	LabelVersion     = "com.docker.compose.version"
	LabelDependsOn   = "com.docker.compose.depends_on"
	LabelWorkingDir  = "com.docker.compose.project.working_dir"
	LabelConfigFiles = "com.docker.compose.project.config_files"
	LabelNetwork     = "com.docker.compose.network"
	LabelVolume      = "com.docker.compose.volume"

	LabelName      = "dev.stackrun.name"      // shop-web-1
	LabelWant      = "dev.stackrun.want"      // plan.Encode of what it was made as
	LabelAnonymous = "dev.stackrun.anonymous" // on containers: JSON of target → volume; on volumes: the target
	LabelHealth    = "dev.stackrun.health"    // JSON of the health check in force, the image's part included
	LabelRemove    = "dev.stackrun.remove"    // one-off that is removed when it ends
	LabelOwners    = "dev.stackrun.owners"    // ids of the containers whose namespaces this run of it has joined
	LabelAliases   = "dev.stackrun.aliases"   // one-off that answers to its service's names
)

// ComposeVersion is whose labels these are.
const ComposeVersion = "5.5.0"
