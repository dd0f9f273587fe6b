// Package supervise keeps an eye on every container that runs: it starts it again as its policy says, probes its health,
// and tells those who wait. One unit per container, with named states:
//
//	          started                exited, policy says again
//	Ended ──────────────▶ Running ───────────────────────────▶ Backoff
//	  ▲  ▲                 │   │  ▲                              │  │
//	  │  │ exited for good │   │  └──────── started again ───────┘  │
//	  │  └─────────────────┘   │ stop asked for                     │
//	  │        exited          ▼                                    │
//	  └───────────────────── Stopping         stop asked for, or    │
//	  └──────────────────────────────────────── could not start ────┘
//
// It does not touch containers itself: a Runner does. Locks: a Runner may hold a lock per container while it calls a
// Group; a Group never calls a Runner with its own lock held.
package supervise
