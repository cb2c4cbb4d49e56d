package stock

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"holdfast/internal/linequantity"
	"holdfast/inventory/inventoryapi"
)

// Limits of texts, in characters, as the contract states them.
const (
	maxActor      = 255
	maxReason     = 500
	maxWorkflowID = 255
	maxNumber     = 1_000_000
)

func lineField(i int, name string) string { return fmt.Sprintf("lines[%d].%s", i, name) }

func required(name string) error {
	return inventoryapi.Errorf(inventoryapi.InvalidInput, name, "%s is required", name)
}

func tooLong(name string, limit int) error {
	return inventoryapi.Errorf(inventoryapi.InvalidInput, name, "%s is longer than %d characters", name, limit)
}

// long reports whether a text has more characters than limit. Most texts have fewer bytes than that, so it compares the
// bytes first.
func long(text string, limit int) bool {
	return len(text) > limit && utf8.RuneCountInString(text) > limit
}

func checkChange(op uuid.UUID, actor, reason string) error {
	if op == uuid.Nil {
		return required("operation_id")
	}
	return checkAuthor(actor, reason)
}

// checkAuthor refuses an actor and a reason that cannot be recorded.
func checkAuthor(actor, reason string) error {
	switch {
	case actor == "":
		return required("actor")
	case long(actor, maxActor):
		return tooLong("actor", maxActor)
	case long(reason, maxReason):
		return tooLong("reason", maxReason)
	case !Storable(actor):
		return unstorable("actor")
	case !Storable(reason):
		return unstorable("reason")
	}
	return nil
}

// CheckActor refuses an actor that cannot be recorded.
func CheckActor(actor string) error { return checkAuthor(actor, "") }

func checkOwner(kind inventoryapi.OwnerKind, id uuid.UUID, number int, workflowID string) error {
	switch {
	case kind == "":
		return required("owner_kind")
	case !kind.Valid():
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "owner_kind", "owner_kind is order or customer")
	case id == uuid.Nil:
		return required("owner_id")
	case number < 1 || number > maxNumber:
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "number", "number lies between 1 and %d", maxNumber)
	case long(workflowID, maxWorkflowID):
		return tooLong("workflow_id", maxWorkflowID)
	case !Storable(workflowID):
		return unstorable("workflow_id")
	}
	return nil
}

// maxCode is the length of a location's code, in characters.
const maxCode = 64

// checkLocation refuses a text that cannot be a location's code; the book knows whether the location exists.
func checkLocation(field, code string) error {
	switch {
	case code == "":
		return required(field)
	case long(code, maxCode):
		return tooLong(field, maxCode)
	case !Storable(code):
		return unstorable(field)
	}
	return nil
}

// Storable reports whether PostgreSQL can keep the text: it wants UTF-8 without U+0000.
func Storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func unstorable(name string) error {
	return inventoryapi.Errorf(inventoryapi.InvalidInput, name, "%s must be UTF-8 without the character U+0000", name)
}

// checkReleaseOwner requires either all fields of the owner or none.
func checkReleaseOwner(in inventoryapi.ReleaseRequest) error {
	if in.OwnerKind == "" && in.OwnerID == uuid.Nil && in.Number == 0 && in.WorkflowID == "" {
		return nil
	}
	return checkOwner(in.OwnerKind, in.OwnerID, in.Number, in.WorkflowID)
}

// checkReserve refuses a malformed request and numbers the lines.
func checkReserve(in *inventoryapi.ReserveRequest) error {
	if in.ReservationID == uuid.Nil {
		return required("reservation_id")
	}
	if err := checkOwner(in.OwnerKind, in.OwnerID, in.Number, in.WorkflowID); err != nil {
		return err
	}
	if err := checkChange(in.OperationID, in.Actor, ""); err != nil {
		return err
	}
	if in.TTLSeconds < 0 || in.TTLSeconds > inventoryapi.MaxTTLSeconds {
		return inventoryapi.Errorf(inventoryapi.InvalidDuration, "ttl_seconds",
			"ttl_seconds lies between 0, which means the default, and %d", inventoryapi.MaxTTLSeconds)
	}
	if in.Strategy != "" && !in.Strategy.Valid() {
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "strategy",
			"strategy is priority, most_stock or fewest_locations")
	}
	if in.Replaces == in.ReservationID {
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "replaces", "a reservation cannot replace itself")
	}
	if n := len(in.Lines); n == 0 || n > inventoryapi.MaxLines {
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "lines",
			"a reservation has between 1 and %d lines", inventoryapi.MaxLines)
	}

	in.Lines = slices.Clone(in.Lines) // the caller's request stays as it is
	numbered := in.Lines[0].LineNo != 0
	seen := map[int]bool{}
	for i := range in.Lines {
		l := &in.Lines[i]
		if l.ProductID == uuid.Nil {
			return inventoryapi.Errorf(inventoryapi.InvalidInput, lineField(i, "product_id"), "product_id is required")
		}
		if err := checkQuantity(lineField(i, "quantity"), l.Quantity); err != nil {
			return err
		}
		switch {
		case numbered && (l.LineNo < 1 || l.LineNo > maxNumber || seen[l.LineNo]):
			return inventoryapi.Errorf(inventoryapi.InvalidInput, lineField(i, "line_no"),
				"line numbers lie between 1 and %d and differ from each other", maxNumber)
		case !numbered && l.LineNo != 0:
			return inventoryapi.Errorf(inventoryapi.InvalidInput, lineField(i, "line_no"), "number every line or none")
		case !numbered:
			l.LineNo = i + 1
		}
		seen[l.LineNo] = true
	}
	return nil
}

// checkQuantity refuses a quantity that no configuration allows.
func checkQuantity(name string, quantity int64) error {
	return checkUpTo(name, quantity, linequantity.Highest)
}

func checkUpTo(name string, quantity, most int64) error {
	if quantity < 1 || quantity > most {
		return inventoryapi.Errorf(inventoryapi.InvalidQuantity, name, "the quantity lies between 1 and %d", most)
	}
	return nil
}

// CheckWanted refuses a quantity that no request could reserve: a line may have most units.
func CheckWanted(quantity, most int64) error { return checkUpTo("quantity", quantity, most) }

// CheckLines refuses lines of which one has more than most units.
func CheckLines(lines []inventoryapi.ReserveLine, most int64) error {
	for i, l := range lines {
		if err := checkUpTo(lineField(i, "quantity"), l.Quantity, most); err != nil {
			return err
		}
	}
	return nil
}

func checkReturnLines(lines []inventoryapi.ReturnLine) error {
	if len(lines) > inventoryapi.MaxLines {
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "lines", "at most %d lines", inventoryapi.MaxLines)
	}
	seen := map[int]bool{}
	for i, l := range lines {
		if l.LineNo < 1 || seen[l.LineNo] {
			return inventoryapi.Errorf(inventoryapi.InvalidInput, lineField(i, "line_no"),
				"line numbers are positive and differ from each other")
		}
		seen[l.LineNo] = true
		if l.Location != "" {
			if err := checkLocation(lineField(i, "location"), l.Location); err != nil {
				return err
			}
		}
		if err := checkQuantity(lineField(i, "quantity"), l.Quantity); err != nil {
			return err
		}
	}
	return nil
}

func operationUsed(op uuid.UUID) error {
	return inventoryapi.Errorf(inventoryapi.AlreadyExists, "operation_id",
		"operation_id %s was already used for a different request; send a new operation_id", op)
}
