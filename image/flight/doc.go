// Package flight makes what several ask for at the same time one piece of work, whose progress all of them see.
//
// Called by what fetches images and layers. Touches nothing.
package flight
