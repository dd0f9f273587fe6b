// Package patch makes and keeps what settles how layers that were unpacked apart fit together:
//
//	patches/<hex>/fs  one more layer, for one chain of layers
//
// Called by what records images and prepares roots. Touches its directory of the store; of layers it reads only.
package patch
