// Package wire is what all handlers of the Docker Engine API share: routes, versions, errors, JSON bodies, filters, streams.
// It knows HTTP and the API's conventions, and no object of it.
//
// A request's way: Mux takes the version off its path and finds the Route; the Route's Handler reads the request with Decode, Bool, ReadFilters; it
// answers with JSON, Stream, Progress or Hijack, or returns an error before any of these, which Fail makes an answer of.
//
// Source: the specification of API version 1.51,
// https://github.com/moby/moby/blob/api/v1.57.0/api/docs/v1.51.yaml
//
// Called by the packages beside it. May touch: the request's connection.
package wire
