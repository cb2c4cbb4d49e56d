// Package migrations embeds the schema of every database, so that the binary that runs against a
// database can also bring it up to date.
package migrations

import "embed"

// FS holds one directory per database: orders, inventory, sandbox.
//
//go:embed orders/*.sql inventory/*.sql sandbox/*.sql
var FS embed.FS
