package sandbox

import "github.com/stackrun/stack/network/record"

// FinishTeardown does what a Teardown has left to the background.
func FinishTeardown(k *Keeper, r record.Sandbox) { k.finishTeardown(r) }

// Record is what shall be of the sandbox of container.
func Record(k *Keeper, container string) record.Sandbox {
	r, _ := k.book.Record(container)
	return r
}
