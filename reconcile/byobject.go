package reconcile

import (
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/single"
)

// AllNetworks are the networks of this host, for those who mean one by its name or id, whoever's it is: the Docker Engine API.
func (e *Engine) AllNetworks() *resource.Networks { return e.networks }

// AllVolumes are the volumes of this host, for those who mean one by its name, whoever's it is: the Docker Engine API.
func (e *Engine) AllVolumes() *resource.Volumes { return e.volumes }

// Single are the containers of this host, for those who mean one by its name or id, whoever's it is: the Docker Engine API.
func (e *Engine) Single() *single.Containers { return e.singles }
