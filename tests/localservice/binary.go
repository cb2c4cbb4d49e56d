package localservice

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Package is a piece of software that must be on the machine.
type Package struct {
	Title  string // for people: "PostgreSQL"
	Debian string // the name of the distribution's package
	Binary string // the program that shows it is there
}

// Debian puts some programs where PATH does not look: several versions of PostgreSQL live side by
// side, and /usr/sbin/rabbitmq-server is a wrapper that insists on changing the user itself.
const (
	postgresRoot = "/usr/lib/postgresql"
	rabbitmqBin  = "/usr/lib/rabbitmq/bin"
)

// The packages of the development stack.
var (
	PostgresPackage = Package{"PostgreSQL", "postgresql", "postgres"}
	RedisPackage    = Package{"Redis", "redis-server", "redis-server"}
	RabbitMQPackage = Package{"RabbitMQ", "rabbitmq-server", "rabbitmq-server"}
)

// SMTPPackage is a mail server for tests. It is a program without a service of its own, and replaces no other mail
// server.
var SMTPPackage = Package{"aiosmtpd", "python3-aiosmtpd", "aiosmtpd"}

// PikaPackage is Python's library for RabbitMQ, which an example uses. It has no program.
var PikaPackage = Package{"pika", "python3-pika", ""}

// ChromiumPackage is the browser with which a test looks at Temporal's Web UI.
var ChromiumPackage = Package{"Chromium", "chromium", "chromium"}

// debianPython is the interpreter that finds the libraries of Debian's packages.
const debianPython = "/usr/bin/python3"

// Missing returns the given packages whose program or library is not on this machine. Without arguments it checks all
// packages of the stack.
func Missing(of ...Package) []Package {
	if len(of) == 0 {
		of = []Package{PostgresPackage, RedisPackage, RabbitMQPackage}
	}
	var missing []Package
	for _, p := range of {
		if _, err := p.find(); err != nil {
			missing = append(missing, p)
		}
	}
	return missing
}

func (p Package) find() (string, error) {
	switch p {
	case PostgresPackage:
		return findPostgres("")
	case RabbitMQPackage:
		return find(p.Binary, rabbitmqBin)
	case PikaPackage:
		return debianPython, exec.Command(debianPython, "-c", "import pika").Run()
	default:
		return find(p.Binary)
	}
}

// find looks for a program in the given directories and then in PATH.
func find(name string, dirs ...string) (string, error) {
	for _, dir := range dirs {
		if path := filepath.Join(dir, name); isProgram(path) {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed: %w", name, err)
	}
	return filepath.Abs(path)
}

// findPostgres finds the server that can open data written by the given major version; an empty
// version means a new cluster, for which the highest installed version serves.
func findPostgres(version string) (string, error) {
	dirs, _ := filepath.Glob(filepath.Join(postgresRoot, "*", "bin"))
	slices.SortFunc(dirs, func(a, b string) int { return majorOf(b) - majorOf(a) })
	if version != "" {
		dirs = []string{filepath.Join(postgresRoot, version, "bin")}
	}
	for _, dir := range dirs {
		if path := filepath.Join(dir, "postgres"); isProgram(path) {
			return path, nil
		}
	}
	path, err := find("postgres")
	if err != nil {
		return "", err
	}
	// A link in PATH would hide initdb, which lives beside the real program.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", fmt.Errorf("resolve the postgres program: %w", err)
	}
	if version == "" {
		return path, nil
	}
	out, err := exec.Command(path, "--version").Output() // "postgres (PostgreSQL) 15.9 (Debian …)"
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", path, err)
	}
	if fields := strings.Fields(string(out)); len(fields) < 3 || strings.Split(fields[2], ".")[0] != version {
		return "", fmt.Errorf("the data was written by PostgreSQL %s, but only %q is installed: "+
			"install that version, or remove the data directory", version, strings.TrimSpace(string(out)))
	}
	return path, nil
}

// majorOf reads 15 out of /usr/lib/postgresql/15/bin.
func majorOf(bin string) int {
	major, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return major
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}
