// Package render writes a Project as canonical Compose text, the way `docker
// compose config` does: long forms, that program's order of keys, every dollar
// sign doubled so that the text can be loaded again. It is pure.
package render
