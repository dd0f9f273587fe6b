package bundle

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
	FactSucceeds  = "succeeds"  // id of the container that it is made to replace
	FactTraits    = "traits"    // JSON of standalone.Traits, on a container that belongs to no file
	FactImage     = "image"     // id of the image that such a one was made from
	FactStepOf    = "stepOf"    // one-off that is a step of pre_start: the id of the container that is started after it, / and the step's place
)
