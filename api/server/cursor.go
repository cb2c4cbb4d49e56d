package server

import (
	"time"

	"github.com/google/uuid"

	"holdfast/internal/cursor"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
)

// defaultPage is the size of a page if the client names none.
const defaultPage = 50

// position is the last row of a page, as cursors carry it.
type position struct {
	CreatedAt time.Time `json:"c"`
	ID        uuid.UUID `json:"i"`
}

// page reads where a page of a list begins and how many rows it has. The caller asks for one row more than the page,
// and so learns whether there is another page.
func page(list, encoded string, limit int) (after orderstore.Position, size int, err error) {
	if limit == 0 {
		limit = defaultPage
	}
	if encoded == "" { // a position before every row
		return orderstore.Position{CreatedAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), ID: uuid.Max}, limit, nil
	}
	k, err := cursor.Decode[position](list, encoded)
	if err != nil || k.ID == uuid.Nil || k.CreatedAt.IsZero() {
		return orderstore.Position{}, 0, problem.Invalid("cursor", "use the next_cursor of the same list's page before")
	}
	return orderstore.Position(k), limit, nil
}
