// Package api is what the stack command and its daemon say to each other: HTTP/1.1 with JSON on
// the unix socket <run>/stack.sock. Package server answers in front of an Engine, package client asks.
//
// Paths (a tree of our own below /v1; the root is left to the Docker Engine API):
//
//	GET  /v1/version                              Version
//	GET  /v1/projects                             []ask.ProjectSummary
//	GET  /v1/projects/{project}/containers        ContainersOptions in ?options=, JSON      []ask.Container
//	GET  /v1/projects/{project}/stats             []ask.ContainerStats
//	GET  /v1/projects/{project}/top               []ask.ContainerProcesses
//	GET  /v1/projects/{project}/images            []ask.ContainerImage
//	GET  /v1/projects/{project}/volumes           []ask.Volume
//	GET  /v1/projects/{project}/logs              ask.LogOptions in ?options=, JSON         frames
//	GET  /v1/projects/{project}/events            event.Window in ?options=, JSON             stream of Message.Event
//	GET  /v1/projects/{project}/drift             ask.Preview
//	GET  /v1/projects/{project}/history           []history.Entry
//	GET  /v1/projects/{project}/why               ask.WhyOptions in ?options=, JSON         ask.Why
//	POST /v1/projects/{project}/plan              UpRequest                                 ask.Preview
//	POST /v1/projects/{project}/save              UpRequest                                 ask.Saved
//	POST /v1/projects/{project}/dump              DumpRequest                               ask.Dump
//	POST /v1/projects/{project}/revision          a number of steps                         ask.Revision
//	POST /v1/plans/apply                          a saved plan; ask.ApplyOptions in ?options=  stream
//	POST /v1/gc                                   ask.GCOptions                             ask.Garbage
//	POST /v1/projects/{project}/up                UpRequest                                 stream
//	POST /v1/projects/{project}/down              ask.DownOptions                           stream
//	POST /v1/projects/{project}/{start,stop,restart,kill,pause,unpause,remove}  ask.ServiceOptions  stream
//	GET  /v1/projects/{project}/snapshots         []ask.Snapshot
//	POST /v1/projects/{project}/snapshot-volumes  ask.SnapshotOptions                       stream
//	POST /v1/projects/{project}/restore-volumes   ask.RestoreOptions                        stream
//	POST /v1/projects/{project}/remove-snapshots  []string                                  stream
//	POST /v1/projects/{project}/clone-volume      CloneRequest                              stream
//	GET  /v1/projects/{project}/removed-volumes   []ask.RemovedVolume
//	POST /v1/projects/{project}/undelete-volumes  []string                                  stream
//	POST /v1/projects/{project}/pull              PullRequest                               stream
//	POST /v1/projects/{project}/push              PushRequest                               stream
//	POST /v1/projects/{project}/commit            ask.CommitOptions                         stream
//	POST /v1/projects/{project}/run               RunRequest                                upgrade
//	POST /v1/projects/{project}/exec              ask.ExecOptions                           upgrade
//	POST /v1/projects/{project}/attach            ask.AttachOptions                         upgrade
//	POST /v1/projects/{project}/copy-in           a tar stream; ask.CopyInOptions in ?options=  stream
//	POST /v1/projects/{project}/copy-out          ask.CopyOutOptions                        upgrade, a tar stream in FrameStdout
//	POST /v1/projects/{project}/export            ask.ExportOptions                         upgrade, a tar stream in FrameStdout
//	POST /v1/projects/{project}/compare-files     ask.FilesOptions                          []archive.Difference
//	POST /v1/projects/{project}/remove-files      ask.FilesOptions                          []archive.Difference
//	POST /v1/images/load                          a tar archive                             stream
//
// Stream: one Message a line (application/x-ndjson). The last one is Done or Error; a stream that
// ends without either broke off. Upgrade: `101 UPGRADED` with `Upgrade: tcp`, then frames both ways (Frame),
// the last one from the daemon holding a Message that is Done or Error. Frames: the same, from the daemon only.
//
// Every request carries VersionHeader, and StateRootHeader. A daemon of another version answers 426 with KindVersion: what
// travels is the program's own types, so both ends are of one build. One that a command has started, and that nobody else is connected to, makes way
// instead for a client that says so (ReplaceHeader). One that has another state root refuses too.
//
// The end of a request's connection cancels it. Errors before a stream begins are a status and an Error. No request
// changes anything before its answer has begun: one that is hung up on without a byte can be sent again. That is what a daemon
// does which is about to leave; while a connection is open that it has taken, it does not begin to.
//
// The socket's mode is 0660, its group is `stack` if there is one. Who can connect can do
// what root can: peer credentials are checked besides.
//
// Called by cmd/stack. May touch: the socket. It imports reconcile for its values, and spec.
package api
