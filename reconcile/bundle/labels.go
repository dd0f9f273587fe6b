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
	LabelHook        = "com.docker.compose.hook" // pre_start, on the container of a step
	LabelNetwork     = "com.docker.compose.network"
	LabelVolume      = "com.docker.compose.volume"

	LabelName      = "dev.stackrun.name"      // on sandboxes: shop-web-1
	LabelWant      = "dev.stackrun.want"      // on networks and volumes: plan.Encode of what it was made as
	LabelAnonymous = "dev.stackrun.anonymous" // on volumes: the target
)

// LabelsReserved is the prefix that the Compose specification keeps for the tool: what an image or a file says below it is
// dropped, so that no container passes for one of another service.
const LabelsReserved = "com.docker.compose."

// Facts of containers (runtime.Config.Facts). They are no labels: whoever sets them has volumes deleted, and containers
// found under other names.
const (
	FactName      = "name"      // shop-web-1
	FactWant      = "want"      // plan.Encode of what it was made as
	FactAnonymous = "anonymous" // JSON of target → volume
	FactMounted   = "mounted"   // JSON of reference → id, of the images that it has mounted
	FactHealth    = "health"    // JSON of the health check in force, the image's part included
	FactRemove    = "remove"    // one-off that is removed when it ends
	FactExposed   = "exposed"   // ports that image and file say it listens on: "443/tcp,8000-8009/tcp"
	FactOwners    = "owners"    // ids of the containers whose namespaces this run of it has joined
	FactInherited = "inherited" // targets of mounts that this run of it has from others, sorted, each with a newline
	FactAliases   = "aliases"   // one-off that answers to its service's names
	FactSucceeds  = "succeeds"  // id of the container that a rolling update replaces by it
	FactTraits    = "traits"    // JSON of standalone.Traits, on a container that belongs to no file
	FactImage     = "image"     // id of the image that such a one was made from
	FactStepOf    = "stepOf"    // one-off that is a step of pre_start: the id of the container that is started after it, / and the step's place
)

// ComposeVersion is whose labels these are.
const ComposeVersion = "5.5.0"
