// Package groupcommit is the one write path of the inventory. It commits requests that arrive together in one database
// transaction, so that a hot product costs one transaction for all callers who want it.
//
// # How a request is written
//
// Apply wraps the requests of one caller into tasks, and Submit queues them as one submission, which is never split
// over batches on its way through the queue. A lane takes submissions from the queue, has them decided as one batch,
// hands out the answers, and takes the next batch. A lane is a goroutine that ends when it finds nothing to take, so
// an idle Writer has no goroutines. At most maxLanes run at once.
//
// A lone request starts a lane, which commits it immediately, in a batch of one. While a batch commits, the next one
// forms in the queue: batches grow with the load. No request waits for others to join its batch.
//
// # What may be in one batch
//
// Each submission has keys: the products, reservations and operations that it concerns. A key is in one batch at a
// time, and the lanes take submissions with a common key in order of arrival. So no request overtakes another one on
// the same stock, and the lanes of one process never wait for each other's row locks. Between processes, the row locks
// of the transaction do the same.
//
// The lane passes over the queue once, from front to back. It leaves a submission in the queue, and every later one
// with a common key, if
//   - one of its keys is in flight in another batch, or belongs to an earlier submission that stays in the queue;
//   - the batch would have more than maxBatch requests;
//   - an earlier submission of the batch closes it for the product: its answer contains the product's version, and the
//     version moves once per batch, so that no later request of the same batch may change the product.
//
// A confirmation or release names a reservation, whose products are unknown until it is read. All submissions whose
// products are unknown share one key, so that they run in one lane.
//
// # How a batch is decided
//
// The committer merges what the tasks must read, reads and locks it in one transaction, lets each task decide in order
// of arrival, and commits all changes together. A refused request changes nothing and does not affect the others.
//
// If the transaction loses a race or its connection, the batch is decided again from a fresh read, with a pause that
// doubles each time. This is safe even if the transaction was committed and only the answer to COMMIT was lost, because
// each request recognises its own work: a reserve by the reservation's id and hash, a resolution by the status, an
// extension by the deadline, a return or receipt by the operation id in the ledger.
//
// If one request is at fault (a constraint refuses it, or a rule panics), the batch is bisected until that request
// fails alone.
//
// The first attempt does not look up new reservations: their unique key finds a repeated reserve. The committer looks
// them up if the key finds a repeated reserve, before it refuses any reserve, and for a second after either.
//
// # What happens when another transaction holds a lock
//
// Another process may hold a lock on one product of a large batch. A batch of several submissions waits for that lock
// once, for the database's lock timeout. If it does not get the lock, nothing is decided. The batch goes back to the
// front of the queue, and its submissions are marked as isolated: a batch takes an isolated submission only together
// with submissions on the same stock. So the callers who want the locked product wait for it, and all others proceed.
// An isolated batch waits for the lock twice. If it does not get the lock, its requests are refused with a retryable
// error, and its products are remembered as locked for lockMemory, or until a batch of them succeeds. Submissions on
// such products are isolated from the start. Isolated batches leave one lane to all others.
//
// Submissions whose products are unknown would all wait for the locked product. So as long as some stock is locked, the
// queue looks up their products first.
//
// # Overload, callers who leave, and Close
//
// The queue holds a bounded number of requests and immediately refuses more. Requests for one product may take at most
// queueShare times the free room, so that a product whose batches do not finish cannot fill the queue. A caller whose
// context ends leaves the queue; if its batch has begun already, the outcome is unknown to the caller, who may send the
// same request again. Close refuses new requests, finishes the accepted ones, and returns.
package groupcommit
