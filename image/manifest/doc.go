// Package manifest says what an image is by its documents: the index that it is chosen from, its manifest and its configuration, which are held against each
// other, whoever served them.
//
// Called by what pulls, loads and pushes. Touches nothing; it asks a Source.
package manifest
