// Package tree reads YAML into nodes that know their place: file, line and
// column of every key and value, kept while the loader interpolates, merges
// and normalises. Aliases and merge keys are resolved here, within bounds, and
// what YAML allows but Compose does not (duplicate keys, keys that are not
// strings, unknown tags) is a fault here. It is pure: bytes in, nodes out.
package tree
