// Package buildcache reads where builds take steps from and put them, as Compose files and docker's clients write it: image:tag, or
// type=local,dest=DIR,mode=max (https://docs.docker.com/build/cache/backends/).
//
// Called by whoever reads such words, and by what finds the place. Touches nothing.
package buildcache
