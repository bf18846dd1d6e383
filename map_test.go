package writ

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// readMap takes the table of doc.go: room -> rooms it may import.
func readMap(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	rooms := map[string][]string{}
	inTable := false
	for line := range strings.Lines(string(b)) {
		line, isRow := strings.CutPrefix(line, "//\t")
		switch fields := strings.Fields(line); {
		case isRow && fields[0] == "room":
			inTable = true
		case isRow && inTable:
			rooms[fields[0]] = fields[1:]
		default:
			inTable = false
		}
	}
	return rooms
}

// testRooms are imported by tests alone: some hold several custodians' keys at once.
var testRooms = []string{"internal/testlaw", "internal/testenv", "internal/forger", "charter/chartertest", "directory/directorytest", "warrant/warranttest", "notice/beacon/beacontest", "test/report", "test/mutate"}

// readImports parses every Go file and returns room -> imports. Tests may
// import more than the map allows, so only the files of the build count, and
// not the rooms of tests.
func readImports(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || isModule(path)) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		room := filepath.ToSlash(filepath.Dir(path))
		if slices.Contains(testRooms, room) {
			return nil
		}
		imports[room] = append(imports[room], []string{}...)
		for _, s := range f.Imports {
			p, err := strconv.Unquote(s.Path.Value)
			if err != nil {
				return err
			}
			imports[room] = append(imports[room], p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}

// isModule says whether a folder is a module of its own, which the build does not see.
func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// inner returns the rooms among imports.
func inner(imports []string) []string {
	var rooms []string
	for _, p := range imports {
		if room, ok := strings.CutPrefix(p, "writ/"); ok && !slices.Contains(rooms, room) {
			rooms = append(rooms, room)
		}
	}
	slices.Sort(rooms)
	return rooms
}

// covers reports whether the map's list allows room. The generated code of api
// lies in folders below it.
func covers(allowed []string, room string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return a == "*" || a == room || a == "api" && strings.HasPrefix(room, "api/")
	})
}

func TestMapHoldsImports(t *testing.T) {
	rooms, imports := readMap(t), readImports(t)
	if len(rooms) == 0 {
		t.Fatal("doc.go holds no map")
	}
	for room, paths := range imports {
		if room == "." || strings.HasPrefix(room, "api") {
			continue
		}
		allowed, ok := rooms[room]
		if !ok {
			t.Errorf("%s is not on the map", room)
		}
		for _, used := range inner(paths) {
			if !covers(allowed, used) {
				t.Errorf("%s imports %s, which the map does not allow", room, used)
			}
		}
	}
	for room, allowed := range rooms {
		if _, ok := imports[room]; !ok && room != "api" {
			t.Errorf("the map shows %s, which is not there", room)
		}
		for _, a := range allowed {
			if a != "-" && a != "*" && !slices.Contains(inner(imports[room]), a) && a != "api" {
				t.Errorf("the map lets %s import %s, which it does not need", room, a)
			}
		}
	}
}

// Exceptional access is one room with two doors.
func TestOnlyTwoDoorsToTheVault(t *testing.T) {
	imports := readImports(t)
	for room, paths := range imports {
		for _, keys := range testRooms {
			if slices.Contains(inner(paths), keys) {
				t.Errorf("%s imports %s", room, keys)
			}
		}
		doors := []string{"custodian", "examine"}
		if slices.Contains(inner(paths), "unseal") && !slices.Contains(doors, room) {
			t.Errorf("%s imports unseal", room)
		}
	}
	for _, room := range []string{"client", "delivery", "docket", "notary", "witness", "bundle", "follower", "audit"} {
		if path := reaches(imports, room, "unseal", nil); path != nil {
			t.Errorf("the vault can be reached: %s", strings.Join(path, " -> "))
		}
	}
}

// reaches returns a chain of imports from one room to another, or nil.
func reaches(imports map[string][]string, from, to string, seen []string) []string {
	if from == to {
		return []string{to}
	}
	if slices.Contains(seen, from) {
		return nil
	}
	for _, next := range inner(imports[from]) {
		if path := reaches(imports, next, to, append(seen, from)); path != nil {
			return append([]string{from}, path...)
		}
	}
	return nil
}

// Services are run by different institutions and meet through documents and
// api, never through each other's code.
func TestServicesDoNotImportServices(t *testing.T) {
	services := []string{"delivery", "docket", "custodian", "notary", "witness", "operator", "client", "examine"}
	imports := readImports(t)
	for _, from := range services {
		for _, to := range inner(imports[from]) {
			if slices.Contains(services, to) {
				t.Errorf("%s imports %s", from, to)
			}
		}
	}
}

// Bytes, keys and a time in, values out: a pure room can be read, tested and
// run in a browser without a world around it.
func TestPureRoomsStayPure(t *testing.T) {
	pure := []string{"internal/wire", "mls", "directory", "charter", "capsule", "directory/keyproof", "notice/beacon", "notice", "warrant", "ledger", "audit", "unseal", "bundle"}
	impure := []string{"os", "net", "net/http", "log", "log/slog", "database/sql", "writ/api", "writ/engine", "os/exec", "syscall"}
	imports := readImports(t)
	for _, room := range pure {
		for _, p := range imports[room] {
			if slices.Contains(impure, p) {
				t.Errorf("%s imports %s", room, p)
			}
		}
		if calls := callsOfNow(t, room); len(calls) > 0 {
			t.Errorf("%s asks the clock: %v", room, calls)
		}
	}
	for _, p := range imports["client"] {
		if p == "writ/engine" {
			t.Error("client imports engine")
		}
	}
}

// callsOfNow lists the files of a room that name time.Now.
func callsOfNow(t *testing.T, room string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(room, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "_test.go") && strings.Contains(string(b), "time.Now") {
			found = append(found, name)
		}
	}
	return found
}
