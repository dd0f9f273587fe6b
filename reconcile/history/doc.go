// Package history is what is remembered of each project: the plans that changed something, with their reasons and outcome, and how
// each container came to run the last time. They are values; history/book keeps them.
package history
