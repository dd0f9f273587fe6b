// Package layer keeps unpacked layers, each in a directory of its own by its diff id, which is there only when it is whole:
//
//	layers/sha256/<hex>/  fs, layer.json, recipe, forms.json
//	held/                 which layers stay although no image has them (hold.go)
//	unsynced/             which layers a power cut may have harmed (durable.go)
//
// A layer that is missing is made of its stream by Ensure, as it comes, or of a directory by Adopt. Write gives the stream back.
//
// Called by what pulls, loads, builds and pushes. Touches these directories of the store.
package layer
