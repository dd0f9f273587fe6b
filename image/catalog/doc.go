// Package catalog says which images a store has, by which names, and keeps their documents:
//
//	index.json           records, one for each image, replaced in one step under the lock of the directory
//	blobs/sha256/<hex>   manifests and configurations, as they were served
//
// An image is here when it has a record, and whole when its layers are there too.
//
// Called by all that works on images by name. Touches these files of the store.
package catalog
