package server

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/httpx"
)

// TestEqualRequestsHaveEqualHashes: a default that is written out, an empty part and another way of writing make the
// same request. Any other difference makes another request.
func TestEqualRequestsHaveEqualHashes(t *testing.T) {
	t.Parallel()
	const line = `{"product_id":"90806882-983d-5164-87bd-3b84bc6ad730","quantity":1}`
	order := func(raw string) string {
		var body orderapi.CreateOrder
		require.NoError(t, httpx.ParseJSON([]byte(raw)))
		require.NoError(t, httpx.UnmarshalJSON([]byte(raw), &body))
		hash, err := orderHash(body)
		require.NoError(t, err)
		return hash
	}

	plain := order(`{"lines":[` + line + `]}`)
	const inDatabases = "8e68855eed6767023cec423f0cef756355b3e4b6646f7e1c32622dff794fe630"
	require.Equal(t, inDatabases, plain, "databases have hashes of this form")

	for _, same := range []string{
		`{"lines":[` + line + `],"currency":"EUR"}`,
		`{"lines":[` + line + `],"ttl_seconds":900}`,
		`{"ttl_seconds":900,"currency":"EUR","lines":[` + line + `],"metadata":{},"ship_to":{}}`,
		`{"lines":[` + strings.ToUpper(line[:52]) + line[52:] + `]}`,
		`{ "lines" : [ {"quantity":1,"product_id":"90806882-983d-5164-87bd-3b84bc6ad730"} ] }`,
	} {
		same = strings.Replace(same, `"PRODUCT_ID"`, `"product_id"`, 1)
		require.Equal(t, plain, order(same), same)
	}
	require.Equal(t,
		order(`{"lines":[`+line+`],"metadata":{"a":"1","b":"2"}}`),
		order(`{"lines":[`+line+`],"metadata":{"b":"2","a":"1"}}`))

	for _, other := range []string{
		`{"lines":[` + line + `],"currency":"USD"}`,
		`{"lines":[` + line + `],"ttl_seconds":901}`,
		`{"lines":[` + line + `,` + line + `]}`,
		`{"lines":[` + line + `],"payment_method":"pm_ok"}`,
		`{"lines":[` + line + `],"email":"a@b"}`,
		`{"lines":[` + line + `],"metadata":{"a":""}}`,
	} {
		require.NotEqual(t, plain, order(other), other)
	}

	reservation := func(raw string) string {
		var body orderapi.CreateReservation
		require.NoError(t, httpx.UnmarshalJSON([]byte(raw), &body))
		hash, err := reservationHash(body)
		require.NoError(t, err)
		return hash
	}
	const of = `{"order_id":"7d444840-9dc0-11d1-b245-5ffdce74fad2","lines":[` + line + `]`
	require.Equal(t, reservation(of+`}`), reservation(of+`,"ttl_seconds":900}`))
	require.NotEqual(t, reservation(of+`}`), reservation(of+`,"ttl_seconds":60}`))
}
