// Package groupcommit is the only write path of the inventory. It commits requests that arrive together in one database
// transaction. So many callers who want the same product share one transaction.
//
// # How a request is written
//
// Apply wraps the requests of one caller into tasks, and Submit queues the tasks as one submission. All tasks of a
// submission go into the same batch.
//
// A lane is a goroutine that commits batches. It takes submissions from the queue, passes them to the committer as one
// batch, wakes their callers, and takes the next batch. A lane ends when it finds nothing to take, so an idle Writer
// has no goroutines. At most maxLanes run at once.
//
// A lone request starts a lane, which commits it immediately, in a batch of one. While a batch commits, the next one
// forms in the queue: batches grow with the load. No request waits for others to join its batch.
//
// # What may be in one batch
//
// Each submission has keys: the products, reservations and operations that it concerns. A key is in one batch at a
// time, and the lanes take submissions with a common key in order of arrival. So no request overtakes another one on
// the same stock, and the lanes of one process never wait for each other's row locks. Two processes that write the same
// stock wait for each other at the row locks of the database.
//
// To form a batch, a lane reads the queue once, from front to back. It leaves a submission in the queue if
//   - one of its keys belongs to a batch in flight;
//   - one of its keys belongs to an earlier submission that the lane has left in the queue;
//   - the batch would have more than maxBatch requests;
//   - an earlier submission of the batch concerns the same product, and its answer contains the product's version. The
//     version increases once per batch. If the later submission changed the product too, the version in that answer
//     would stand for two different stocks.
//
// A confirmation or release names a reservation, whose products are unknown until it is read. All submissions whose
// products are unknown share one key, so that they run in one lane.
//
// # How a batch is decided
//
// The committer opens one transaction and reads and locks all rows that the tasks need. It decides the tasks in order
// of arrival and commits all changes together. A refused request changes nothing and does not affect the others.
//
// If the transaction loses a race or its connection, the committer reads again and decides the batch again. Before each
// attempt it pauses; the pause doubles each time. This is safe even if the transaction was committed and only the
// answer to COMMIT was lost, because each request recognises its own work: a reserve by the reservation's id and hash,
// a resolution by the status, an extension by the deadline, a return or receipt by the operation id in the ledger.
//
// If one request is at fault (a constraint refuses it, or a rule panics), the committer bisects the batch until that
// request fails alone.
//
// # Repeated reserves
//
// A caller who got no answer sends its reserve again, so the reservation may exist. Most reserves are new, so the first
// attempt does not look for an existing reservation. If there is one, the unique key refuses the insert, and the
// committer decides the batch again, now with the look-up.
//
// The committer also decides again with the look-up before it refuses a reserve for any other reason. Otherwise a
// repeated reserve would be refused for lack of stock, although its reservation exists.
//
// For one second after either case (repeatsMemory), the first attempt looks reservations up too.
//
// # Overdue reservations
//
// A reserve that falls short may need stock of reservations past their deadline, which no owner has expired yet. The
// store looks for them once per attempt, and only if a reserve fell short. If it finds any, the attempt changes
// nothing, and the committer decides the batch again with these reservations among the reads: then their items are
// locked in the same order as all others, also items of other products. The rule of the reserve expires as many of them
// as it needs. An attempt whose look-up finds no further reservation decides.
//
// # Backorders
//
// A batch that makes stock available grants backorders from it, after its last request was decided and before it writes
// (stock.Book.Grant). An item says whether backorders wait for its product, so a batch on other products does nothing
// more. If a backorder also waits for products that the transaction has not locked, or if the batch has locked only
// some items of the product, the attempt changes nothing, and the committer decides the batch again with all of these
// products among the reads. Overdue backorders are found and ended in the same way as overdue reservations, when a
// reserve falls short because of what they wait for.
//
// One transaction grants at most stock.MaxGrants backorders. The inventory process continues with the rest, also after
// a crash; what is left is promised to the waiting list, so no other request can take it meanwhile.
//
// # Versions in answers
//
// If an earlier answer of the batch contains the version of a product that a take-back would change, the committer
// bisects the batch until the two requests are apart.
//
// # What happens when another transaction holds a lock
//
// Another process may hold a lock on one product of a large batch. The committer waits for that lock once, for the
// database's lock timeout. If it does not get the lock, the batch changes nothing. The queue puts the batch's
// submissions back at its front and marks them as isolated: an isolated submission is in a batch only with submissions
// on the same stock. So the callers who want the locked product wait for it, and all others proceed.
//
// For an isolated batch, and for a batch of one submission, the committer waits for the lock twice. If it does not get
// the lock, it refuses the requests with a retryable error. The queue then expects their products to stay locked for
// lockMemory, or until a batch of them succeeds, and isolates new submissions on them from the start. At most
// maxLanes-1 lanes commit isolated batches at once, so that one lane is free for other stock.
//
// Submissions whose products are unknown share one key. If one of them needed the locked product, all of them would
// wait for it. So while the queue expects any product to be locked, it looks up the products of these submissions
// first.
//
// # Overload, callers who leave, and Close
//
// The queue holds a bounded number of requests and immediately refuses further ones. Requests for one product may take
// at most queueShare times the free room, so that a product whose batches do not finish cannot fill the queue. A caller
// whose context ends leaves the queue; if its batch has begun already, the outcome is unknown to the caller, who may
// send the same request again. Close refuses new requests, finishes the accepted ones, and returns.
package groupcommit
