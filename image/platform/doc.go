// Package platform knows which platforms run images of which others: the host's, spellings that mean the same, and variants that run what was made for
// older ones.
//
// Called by what looks for images. Touches nothing; of the host it asks the processor what it can do.
package platform
