package inventory_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth/authtest"
	"holdfast/internal/problem"
	"holdfast/internal/servicetoken"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// operation is an operation of the contract, with a valid request. A test changes one thing in the request, so that
// nothing else can be the reason of a refusal.
type operation struct {
	id, method, path string // path is the template
	spec             *openapi3.Operation
	parameters       openapi3.Parameters
	params           map[string]string // of the path
	values           map[string]any    // of the properties that need a certain value, not just one of the right form
	prepare          func()            // called before the request that must succeed
}

// sending is the content of an HTTP request.
type sending struct {
	path, query, contentType string
	body                     []byte
	header                   http.Header
}

// TestContractRefusesBadInput walks the contract, so that it covers every operation and property, and sends to each
// operation of the real process every fault of parameters, headers and body, one fault at a time. The process refuses
// each with a problem whose code the contract lists, with that code's status and the field at fault, and changes
// nothing. Then the same request without the fault succeeds, which shows that the fault was the reason of the refusal.
func TestContractRefusesBadInput(t *testing.T) {
	t.Parallel()
	s, base := inventorytest.NewServer(t)
	doc, err := openapi3.NewLoader().LoadFromData(inventory.OpenAPI)
	require.NoError(t, err)
	var listed []problem.Code
	for _, c := range doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		listed = append(listed, problem.Code(c.(string)))
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}

	walked := 0
	for path, item := range doc.Paths.Map() {
		for method, spec := range item.Operations() {
			walked++
			o := operation{
				id:         spec.OperationID,
				method:     method,
				path:       path,
				spec:       spec,
				parameters: append(slices.Clone(item.Parameters), spec.Parameters...),
			}
			o.setUp(t, s)
			t.Run(o.id, func(t *testing.T) {
				before := rowsOf(t, s)
				for _, f := range slices.Concat(o.badParameters(), o.badProperties(), o.badBodies()) {
					r := f.request
					status, header, answer := exchange(t, client, base, o.method, r)
					about := fmt.Sprintf("%s: %s\n%s %s?%s %.200s\n%d %s",
						o.id, f.name, o.method, r.path, r.query, r.body, status, answer)
					var p problem.Problem
					if !json.Valid(answer) || json.Unmarshal(answer, &p) != nil {
						t.Errorf("no problem document: %s", about)
						continue
					}
					kind, known := inventoryapi.Table[p.Code]
					switch {
					case status < 400 || status > 499:
						t.Errorf("not refused: %s", about)
					case header.Get("Content-Type") != problem.ContentType,
						!slices.Contains(listed, p.Code),
						!known || kind.Status != status || p.Status != status:
						t.Errorf("not as the contract says: %s", about)
					case f.field != "" && p.Field != f.field:
						t.Errorf("field %q, not %q: %s", p.Field, f.field, about)
					}
				}
				require.Equal(t, before, rowsOf(t, s), "a refused request changed rows")

				o.prepare()
				status, _, answer := exchange(t, client, base, o.method, o.good())
				require.Contains(t, []int{http.StatusOK, http.StatusCreated}, status,
					"the request without a fault: %s", answer)
			})
		}
	}
	require.NotZero(t, walked)
	inventorytest.RequireConsistent(t, s.Pool)
}

// setUp makes the product, reservation and proposal of the valid request. If a new operation of the contract needs
// something else, its valid request fails, and so does this test, until setUp makes that too.
func (o *operation) setUp(t *testing.T, s inventorytest.Subject) {
	t.Helper()
	product := s.Stock(t, 100, 100)
	in := inventorytest.NewReserve(inventorytest.Line(product, 1))
	o.prepare = func() {}
	o.params = map[string]string{
		"product_id":     product.String(),
		"reservation_id": in.ReservationID.String(),
		"location":       "near",
		"code":           "attic",
		"backorder_id":   uuid.NewString(),
		"incoming_id":    uuid.NewString(),
	}
	o.values = map[string]any{
		"product_id":  product,
		"location":    "near",
		"from":        "near",
		"to":          "far",
		"owner_kind":  in.OwnerKind,
		"owner_id":    in.OwnerID,
		"number":      in.Number,
		"workflow_id": in.WorkflowID,
		"expires_at":  time.Now().Add(time.Hour),
		"expected_at": time.Now().Add(time.Hour),
		"deadline":    time.Now().Add(2 * time.Hour),
	}
	if o.id == "reserve" {
		_, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
		o.values["number"], o.values["replaces"] = in.Number+1, in.ReservationID
	}
	if o.id == "reserve" || o.id == "deleteItem" { // reserve needs an unused id, and deleteItem needs unreserved stock
		return
	}

	if strings.Contains(o.path, "{backorder_id}") {
		waiting := inventorytest.NewPlace(inventorytest.Line(product, 500))
		_, err := s.Service.PlaceBackorder(t.Context(), waiting)
		require.NoError(t, err)
		o.params["backorder_id"] = waiting.BackorderID.String()
		o.values["owner_id"], o.values["workflow_id"] = waiting.OwnerID, waiting.WorkflowID
		if o.id == "expireBackorder" {
			o.prepare = func() { s.AgeBackorder(t, waiting.BackorderID) }
		}
		return
	}
	if strings.Contains(o.path, "{incoming_id}") {
		expected, err := s.Service.AddIncoming(t.Context(), product, inventoryapi.AddIncomingRequest{
			Location: "near", Quantity: 5, ExpectedAt: time.Now().Add(time.Hour),
		}, inventorytest.By)
		require.NoError(t, err)
		o.params["incoming_id"] = expected.IncomingID.String()
		return
	}
	if o.id == "placeBackorder" {
		return
	}

	_, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	switch o.id {
	case "return":
		_, err := s.API.Confirm(t.Context(), in.ReservationID, inventorytest.Resolve())
		require.NoError(t, err)
	case "expire":
		o.prepare = func() { s.Age(t, in.ReservationID) }
	case "dismissReorderProposal":
		_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(s.Stock(t, 1), 1)))
		require.NoError(t, err)
		open, err := s.Service.ReorderProposals(t.Context(), inventoryapi.ReorderOpen, inventoryapi.Page{})
		require.NoError(t, err)
		o.params["proposal_id"] = open.Items[0].ProposalID.String()
	}
}

// good returns a request that must succeed.
func (o *operation) good() sending {
	path := o.path
	for name, value := range o.params {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	r := sending{path: path, header: http.Header{}}
	switch schema, contentType := o.body(); {
	case contentType == "":
	case schema.Type.Is("object"):
		r.contentType = contentType
		r.body = encode(o.object(schema))
	default: // a file
		r.contentType = contentType
		r.body = []byte("product_id,location,quantity\n" + o.params["product_id"] + ",near,100\n")
		r.header.Set("X-Actor", inventorytest.Actor)
	}
	return r
}

// body returns the schema and media type of the operation's body.
func (o *operation) body() (*openapi3.Schema, string) {
	if o.spec.RequestBody == nil {
		return nil, ""
	}
	for contentType, media := range o.spec.RequestBody.Value.Content {
		return media.Schema.Value, contentType
	}
	return nil, ""
}

// object returns an object with all properties except those that exclude another one or depend on a changing version.
func (o *operation) object(schema *openapi3.Schema) map[string]any {
	out := map[string]any{}
	for name, p := range schema.Properties {
		if name == "expected_version" || o.id == "adjustStock" && name == "quantity" {
			continue
		}
		out[name] = o.value(name, p.Value)
	}
	return out
}

func (o *operation) value(name string, schema *openapi3.Schema) any {
	if v, ok := o.values[name]; ok {
		return v
	}
	switch {
	case schema.Type.Is("object"):
		return o.object(schema)
	case schema.Type.Is("array"):
		return []any{o.value("", schema.Items.Value)}
	case schema.Type.Is("integer"):
		return 1
	case schema.Type.Is("boolean"):
		return true
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	case schema.Format == "uuid":
		return uuid.New()
	}
	return "text"
}

func encode(body any) []byte {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return raw
}

// actorOf returns the actor that a request names. A request with a fault in its actor gets a token for that actor, so
// that the answer tells of the fault and not of the token.
func actorOf(r sending) string {
	var body struct {
		Actor string `json:"actor"`
	}
	_ = json.Unmarshal(r.body, &body) // a fault in the body is what many of the requests are about
	return cmp.Or(r.header.Get("X-Actor"), body.Actor)
}

func exchange(t *testing.T, client *http.Client, base, method string, r sending) (int, http.Header, []byte) {
	t.Helper()
	ctx, url := context.WithoutCancel(t.Context()), base+r.path+"?"+r.query
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(r.body))
	require.NoError(t, err)
	maps.Copy(req.Header, r.header)
	authtest.ActFor(t, req.Header, servicetoken.Inventory, actorOf(r))
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	res, err := client.Do(req)
	require.NoError(t, err)
	answer, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode, res.Header, answer
}

// rowsOf returns the rows that an operation could change.
func rowsOf(t *testing.T, s inventorytest.Subject) (state []string) {
	t.Helper()
	rows, err := s.Pool.Query(t.Context(), `
		SELECT format('item %s: %s, %s, %s, %s, %s',
				item_id, quantity, reserved, version, low_stock_threshold, deleted_at)
			FROM items
		UNION ALL SELECT format('reservation %s: %s until %s', reservation_id, status, expires_at) FROM reservations
		UNION ALL SELECT format('location %s: %s, %s', code, name, priority) FROM locations
		UNION ALL SELECT format('import %s', import_id) FROM stock_imports
		UNION ALL SELECT format('backorder %s: %s until %s', backorder_id, status, deadline) FROM backorders
		UNION ALL SELECT format('delivery %s: %s, version %s', incoming_id, status, version) FROM incoming_stock
		UNION ALL SELECT format('%s events', count(*)) FROM outbox
		ORDER BY 1`)
	require.NoError(t, err)
	state, err = pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return state
}
