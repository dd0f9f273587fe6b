// Package volume holds named volumes and turns what a container wants mounted (volumes, binds,
// tmpfs, configs, secrets) into mount values. It mounts nothing itself.
//
// Called by reconcile through reconcile/driver. May touch: <state>/volumes, and the host paths of binds that
// are to be created. It never imports spec, reconcile, runtime (but runtime/mount), image or network.
package volume
