// Package tensorflow holds feedlake's models: sentiment of short texts, and the
// count of posts that a hashtag's hour should have. Graphs are built, trained,
// saved and served in Go on libtensorflow; what is saved is a SavedModel that
// any TensorFlow reads.
//
// The library takes its thread settings from the first session of a process.
// Every session here asks for the same: operations run in the goroutine that
// calls them, one thread each, so scoring is spread over cores by goroutines and
// training is repeatable: the same examples, seed and library version give the
// same bytes.
package tensorflow
