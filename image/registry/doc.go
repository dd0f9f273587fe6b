// Package registry asks registries and gives to them: through mirrors, with credentials, again where a failure may pass, and with errors that say which endpoint did what.
//
// A Source reads from wherever the repositories of a host may be. A Repository is written to, at the registry itself. What is read is verified where it is small (manifests,
// configurations); a Blob is for the caller to verify.
//
// Called by image. Touches registries and their mirrors.
package registry
