package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/httpx/httpxtest"
	"holdfast/internal/problem"
	"holdfast/internal/servicetoken"
	"holdfast/inventory/inventoryapi"
)

// TestBodiesHaveOneMeaning sends a valid body of every operation, spoiled in every way at every member. The server
// refuses each body with the path of the fault. No body reaches the service, which would panic: it has no methods.
func TestBodiesHaveOneMeaning(t *testing.T) {
	t.Parallel()
	h := newRouter(t, refusing{t: t})
	for _, o := range httpxtest.Operations(t, contract(t)) {
		rec, _ := doAsNamed(h, o.Method, o.Path, httpxtest.Write(t, o.Body))
		require.Equal(t, http.StatusInternalServerError, rec.Code,
			"%s %s reaches the service: %s", o.Method, o.Path, rec.Body)
		for _, bad := range httpxtest.Spoil(t, o.Body) {
			rec, p := doAsNamed(h, o.Method, o.Path, bad.Body)
			name := o.Method + " " + o.Path + " " + bad.Name + ": " + rec.Body.String()
			require.Equal(t, http.StatusBadRequest, rec.Code, name)
			require.Equal(t, problem.InvalidInput, p.Code, name)
			if bad.Inside {
				require.True(t, strings.HasPrefix(p.Field, bad.Field), name)
			} else {
				require.Equal(t, bad.Field, p.Field, name)
			}
		}
	}
}

// doAsNamed sends a request of a service that acts for the actor that the body names, if it names one.
func doAsNamed(h http.Handler, method, path, body string) (*httptest.ResponseRecorder, problem.Problem) {
	var named struct {
		Actor string `json:"actor"`
	}
	_ = json.Unmarshal([]byte(body), &named) // the body may have any fault
	rec := send(h, method, path, body, servicetoken.Header, tokenFor(named.Actor))
	var p problem.Problem
	_ = json.Unmarshal(rec.Body.Bytes(), &p)
	return rec, p
}

const (
	fuzzOperation = `"operation_id":"` + id + `","actor":"olga"`
	fuzzOwner     = `"owner_kind":"order","owner_id":"` + id + `","number":1,"workflow_id":"order-1"`
)

func FuzzReserve(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.ReserveRequest](f, nil,
		`{"reservation_id":"`+id+`",`+fuzzOwner+`,`+fuzzOperation+`,"ttl_seconds":60,"strategy":"priority",`+
			`"lines":[{"line_no":1,"product_id":"`+id+`","quantity":2}]}`)
}

func FuzzResolve(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.ResolveRequest](f, nil, `{`+fuzzOperation+`,"reason":"why"}`)
}

func FuzzRelease(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.ReleaseRequest](f, nil, `{`+fuzzOperation+`,"reason":"why",`+fuzzOwner+`}`)
}

func FuzzExtend(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.ExtendRequest](f, nil,
		`{"expires_at":"2026-01-31T12:00:00.5+01:00","actor":"olga","reason":"why"}`)
}

func FuzzReturn(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.ReturnRequest](f, nil, `{`+fuzzOperation+`,"lines":[{"line_no":1,"quantity":1}]}`)
}

func FuzzReceive(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.ReceiveRequest](f, nil,
		`{`+fuzzOperation+`,"location":"main","quantity":1,"QUANTITY":100}`,
		`{`+fuzzOperation+`,"location":"main","quantity":1,"expected_version":0}`)
}

func FuzzAdjust(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.AdjustRequest](f, nil,
		`{`+fuzzOperation+`,"location":"main","quantity":0,"reason":"count"}`,
		`{"location":"main","delta":-3,"reason":"lost"}`)
}

func FuzzTransfer(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.TransferRequest](f, nil,
		`{`+fuzzOperation+`,"from":"main","to":"near","quantity":1,"reason":"r"}`)
}

func FuzzThreshold(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.ThresholdRequest](f, nil, `{"actor":"olga","location":"main","low_stock_threshold":0}`)
}

func FuzzCreateItem(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.CreateItemRequest](f, nil, `{"actor":"olga","expected_version":7}`)
}

func FuzzDeleteItem(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.DeleteItemRequest](f, nil, `{`+fuzzOperation+`,"reason":"gone"}`)
}

func FuzzLocation(f *testing.F) {
	httpxtest.FuzzBody[inventoryapi.LocationRequest](f, nil, `{"name":"Main","priority":0,"actor":"olga"}`)
}
