// Package editor tells editors about a Compose file that is being written: what may be written at a
// place, and what stands there means. A file under work is seldom valid, so it goes by lines and
// their indentation, not by the loader's tree:
//
//	outline.go   which keys and elements a place is below
//	complete.go  what may be written there
//	hover.go     what stands there, and where its value comes from
//
// It is pure; columns are runes and lines and columns count from 0.
package editor
