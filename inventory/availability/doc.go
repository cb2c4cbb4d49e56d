// Package availability reads the stock of products, from the cache if there is one and from the database otherwise.
//
// Reader.Read asks the cache first. For each product without a value the cache returns what it knows instead: the
// version that was last invalidated, if any. Callers who miss the same products with the same knowledge share one read
// of the database, whose result goes to the cache. Callers with different knowledge must not share: a change was
// committed in between, and the later caller would get a value from before it.
//
// If the cache cannot answer (there is none, or Redis is away), each caller reads the database alone, because it is
// unknown whether a read under way sees the last commit of another process.
//
// The group commit calls Reader.Invalidate after every commit, before any caller of the batch has an answer, so that a
// caller with the answer of a change never reads stock from before it.
package availability
