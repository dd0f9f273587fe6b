// Package tree says which files below some directories have another content than before.
//
// What it knows is an index of the tree with a sum of each file's content. An event of inotify says only that it is time to look at a path:
// what is reported is how the index differs from what is there (level-triggered). So a save by rename, a touch, a file that is written again
// as it was, a directory that is filled before it is watched, and events that were lost are all the same to it.
package tree
