// Package push gives an image that is here to a registry: each layer by the cheapest way that there is, and by the digest that it was pulled with where anybody has that.
//
// Called by the store of images. Touches registries; of the store it notes who has which layer, and under which digest the image is known.
package push
