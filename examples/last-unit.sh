#!/usr/bin/env bash
# A hundred buyers order the last unit of a product at once. One gets it. Needs `make up` in another terminal.
set -euo pipefail
SHOP=http://127.0.0.1:3000
OPS="Authorization: Bearer $(bin/holdfast token --sub olga --role operator)"
SKU=LAST-$(od -An -tx4 -N4 /dev/urandom | tr -d ' ' | tr a-f A-F)

PRODUCT=$(curl -sS -H "$OPS" -H 'Content-Type: application/json' $SHOP/api/products \
  -d '{"sku":"'"$SKU"'","name":"The last one","prices":[{"amount_minor":4900,"currency":"EUR"}]}' |
  sed -n 's/.*"product_id":"\([^"]*\)".*/\1/p')
curl -sS -o /dev/null -H "$OPS" -H 'Content-Type: application/json' $SHOP/api/inventory/"$PRODUCT"/receive \
  -d '{"location":"main","quantity":1,"reason":"the last one"}'

echo "one unit of $SKU is in stock; 100 buyers order it at once"
buy() {
  curl -sS -w '\n%{http_code}\n' -H "Authorization: Bearer $(bin/holdfast token --sub "buyer-$1")" \
    -H 'Content-Type: application/json' $SHOP/api/orders -H 'Prefer: wait=10' \
    -d '{"lines":[{"product_id":"'"$PRODUCT"'","quantity":1}]}' |
    sed -n 's/.*"\(code\|status\)":"\([a-z_]*\)".*/\2/p; $p' | tac | paste -sd' '
}
for n in $(seq 100); do buy "$n" & done | sort | uniq -c | awk '{printf "%5d × %s  %s\n", $1, $2, $3}'
curl -sS -H "$OPS" $SHOP/api/inventory/"$PRODUCT" |
  sed -n 's/.*"available_quantity":\([0-9]*\).*"reserved_quantity":\([0-9]*\).*/available \1, reserved \2/p'
echo
