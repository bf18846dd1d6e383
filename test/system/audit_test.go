package system

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"writ/setup"
	"writ/witness"
)

// watch is writ audit --watch --json, running.
type watch struct {
	t    *testing.T
	cmd  *exec.Cmd
	errs bytes.Buffer
	done chan struct{}

	mu     sync.Mutex
	events []watchEvent
}

type watchEvent struct {
	Event, Type, Rule, Text, Old, New string
	Index                             *uint64
}

// watch follows the ledger.
func (w *world) watch(t *testing.T, args ...string) *watch {
	t.Helper()
	return startWatch(t, append([]string{w.Deployment.Ledger, "--policy", w.path("policy.txt")}, args...))
}

func startWatch(t *testing.T, args []string) *watch {
	t.Helper()
	a := &watch{t: t, done: make(chan struct{})}
	a.cmd = exec.Command(binary, append([]string{"audit", "--watch", "--json", "--every", "100ms"}, args...)...)
	a.cmd.Stderr = &a.errs
	out, err := a.cmd.StdoutPipe()
	must(t, err)
	must(t, a.cmd.Start())
	go func() {
		defer close(a.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e watchEvent
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Errorf("%q: %v", lines.Text(), err)
			}
			a.mu.Lock()
			a.events = append(a.events, e)
			a.mu.Unlock()
		}
		a.cmd.Wait()
	}()
	t.Cleanup(func() { a.cmd.Process.Kill(); <-a.done })
	return a
}

// await waits for an event that fits.
func (a *watch) await(what string, limit time.Duration, fits func(watchEvent) bool) (found watchEvent) {
	a.t.Helper()
	eventually(a.t, limit, func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, e := range a.events {
			if fits(e) {
				found = e
				return nil
			}
		}
		return errors.New("no " + what + ": " + a.errs.String())
	})
	return found
}

func is(event string) func(watchEvent) bool {
	return func(e watchEvent) bool { return e.Event == event }
}

// end waits until the watch ends and returns its exit code.
func (a *watch) end(limit time.Duration) int {
	a.t.Helper()
	select {
	case <-a.done:
	case <-time.After(limit):
		a.t.Fatalf("the watch does not end: %v", a.events)
	}
	return a.cmd.ProcessState.ExitCode()
}

// fork begins the ledger anew.
func (w *world) fork() {
	w.t.Helper()
	w.begin("notary")
	w.writ("charter", "publish", w.path("charter.signed"), "--deployment", w.path("deployment.json"))
}

// begin ends the service that writes a log and all witnesses, and starts them with the
// same keys and no memory: another history, signed and cosigned by all.
func (w *world) begin(writer string) {
	w.t.Helper()
	subs, _, err := w.Services()
	must(w.t, err)
	subs = append(slices.DeleteFunc(subs, func(sub string) bool { return sub == "notary" }), writer)
	w.kill(subs...)
	keeps := []string{"witness.key", "notary.key", "directory.key", "config.json", "beacon.age", "passphrase"}
	for _, sub := range subs {
		names, err := filepath.Glob(w.path(sub, "*"))
		must(w.t, err)
		for _, name := range names {
			if !slices.Contains(keeps, filepath.Base(name)) {
				must(w.t, os.RemoveAll(name))
			}
		}
		w.start(sub)
	}
}

// R14: an auditor that follows over HTTP reports another history of a really
// forked log within one checkpoint, and so does one that was started again; one
// without memory can't.
func TestAuditorFindsFork(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{Cap: 50})
	state, resting := t.TempDir(), t.TempDir()
	live := w.watch(t, "--state", state)
	live.await("start", 20*time.Second, is("started"))
	w.order("one", "anna")
	e := live.await("warrant", 20*time.Second, func(e watchEvent) bool { return e.Event == "entry" && e.Type == "warrant" })
	if e.Index == nil || !strings.Contains(e.Text, "approved by judicial and oversight") {
		t.Errorf("the warrant is told as %+v", e)
	}
	if r := w.run("audit", w.Deployment.Ledger, "--policy", "policy.txt", "--state", resting); r.code != 0 {
		t.Fatalf("exit code %d: %s%s", r.code, r.out, r.errors)
	}
	size := w.size()
	w.fork()
	live.await("rollback", 20*time.Second, is("rollback"))
	w.forget()
	for n := 0; w.size() < size; n++ {
		w.order("other-"+string(rune('a'+n)), "anna")
	}
	fork := live.await("fork", 20*time.Second, is("fork"))
	if code := live.end(10 * time.Second); code != 4 {
		t.Errorf("exit code %d", code)
	}
	for name, text := range map[string]string{"fork-old.txt": fork.Old, "fork-new.txt": fork.New} {
		kept, err := os.ReadFile(filepath.Join(state, name))
		if err != nil || string(kept) != text {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.policy.Checkpoint([]byte(text), time.Now(), 0); err != nil {
			t.Errorf("%s is no evidence: %v", name, err)
		}
	}
	for dir, says := range map[string]string{state: "contradict each other", resting: "has forked"} {
		r := w.run("audit", w.Deployment.Ledger, "--policy", "policy.txt", "--state", dir)
		if r.code != 4 || !strings.Contains(r.errors, says) {
			t.Errorf("started again: exit code %d\n%s", r.code, r.errors)
		}
	}
	if r := w.run("audit", w.Deployment.Ledger, "--policy", "policy.txt"); r.code != 0 {
		t.Errorf("without memory: exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

// R14 of the directory's log: an auditor tells each account's entry as it comes, keeps what
// it audited, and finds out a log that begins anew, live and after a rest.
func TestAuditorFollowsDirectory(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{})
	state, resting := t.TempDir(), t.TempDir()
	log := []string{w.Deployment.Directory, "--directory", "--policy", w.path("directory-policy.txt"), "--state"}
	audit := func(dir string) result { return w.run(append(append([]string{"audit"}, log...), dir)...) }
	live := startWatch(t, append(log, state))
	live.await("start", 20*time.Second, is("started"))
	w.people("anna")
	e := live.await("leaf", 20*time.Second, func(e watchEvent) bool { return e.Event == "entry" && e.Type == "leaf" })
	if e.Index == nil || *e.Index != 0 || !strings.Contains(e.Text, "a statement of the account labelled ") || strings.Contains(e.Text, "anna") {
		t.Errorf("the leaf is told as %+v", e)
	}
	must(t, live.cmd.Process.Signal(syscall.SIGINT))
	if code := live.end(10 * time.Second); code != 0 {
		t.Errorf("Ctrl-C: exit code %d\n%s", code, live.errs.String())
	}
	w.people("ben")
	if r := audit(resting); r.code != 0 || !strings.Contains(r.out, "2 statements of accounts") {
		t.Fatalf("exit code %d: %s%s", r.code, r.out, r.errors)
	}
	live = startWatch(t, append(log, state))
	live.await("what came meanwhile", 20*time.Second, func(e watchEvent) bool { return e.Event == "entry" && *e.Index == 1 })
	w.begin("directory")
	live.await("rollback", 20*time.Second, is("rollback"))
	w.people("chloe", "dora", "emil")
	fork := live.await("fork", 20*time.Second, is("fork"))
	if code := live.end(10 * time.Second); code != 4 {
		t.Errorf("exit code %d", code)
	}
	for name, text := range map[string]string{"fork-old.txt": fork.Old, "fork-new.txt": fork.New} {
		if kept, err := os.ReadFile(filepath.Join(state, name)); err != nil || string(kept) != text {
			t.Errorf("%s: %v", name, err)
		}
	}
	for dir, says := range map[string]string{state: "contradict each other", resting: "has forked"} {
		if r := audit(dir); r.code != 4 || !strings.Contains(r.errors, says) {
			t.Errorf("started again: exit code %d\n%s", r.code, r.errors)
		}
	}
}

// forget empties the docket, so that it lodges anew on the other history.
func (w *world) forget() {
	w.t.Helper()
	w.kill("docket")
	names, err := filepath.Glob(w.path("docket", "*.db*"))
	must(w.t, err)
	for _, name := range names {
		must(w.t, os.Remove(name))
	}
	must(w.t, os.RemoveAll(w.path("agency", "ledger.db")))
	w.start("docket")
}

// A monitor's exit codes: clean, findings, another log, unavailable. A stale
// checkpoint is a finding that settles.
func TestAuditorMonitors(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{Freshness: 6 * time.Second})
	live := w.watch(t, "--state", t.TempDir())
	live.await("start", 20*time.Second, is("started"))
	stale := func(event string) func(watchEvent) bool {
		return func(e watchEvent) bool { return e.Event == event && e.Rule == "AUD-3" }
	}
	w.kill("witness/bar", "witness/university") // one of three is no majority
	live.await("stale checkpoint", 30*time.Second, stale("finding"))
	if r := w.run("audit", w.Deployment.Ledger, "--policy", "policy.txt"); r.code != 6 || !strings.Contains(r.out, "AUD-3") {
		t.Errorf("a stale log: exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	if r := w.run("audit", w.path("notary", "log"), "--policy", "policy.txt"); r.code != 0 {
		t.Errorf("its files: exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	w.start("witness/bar")
	live.await("end of it", 30*time.Second, stale("settled"))
	must(t, live.cmd.Process.Signal(syscall.SIGINT))
	if code := live.end(10 * time.Second); code != 0 {
		t.Errorf("Ctrl-C: exit code %d\n%s", code, live.errs.String())
	}
	other := newPolicy(t, w.Deployment.Policy)
	if r := w.run("audit", w.Deployment.Ledger, "--policy", other); r.code != 4 {
		t.Errorf("another log: exit code %d\n%s", r.code, r.errors)
	}
	w.kill("notary")
	if r := w.run("audit", w.Deployment.Ledger, "--policy", "policy.txt"); r.code != 5 {
		t.Errorf("no log: exit code %d\n%s", r.code, r.errors)
	}
}

// newPolicy writes a policy with the same witnesses and another log.
func newPolicy(t *testing.T, text string) (path string) {
	t.Helper()
	k, err := setup.NewKeyFile(setup.RoleNotary, "", "localnet.example/ledger")
	must(t, err)
	vkey, err := k.LogVKey()
	must(t, err)
	_, rest, _ := strings.Cut(text, "\n")
	path = filepath.Join(t.TempDir(), "other.txt")
	must(t, os.WriteFile(path, []byte("log "+vkey+"\n"+rest), 0o600))
	return path
}

// The forms of a report are written, and a real log's numbers are those of its
// entries.
func TestAuditReports(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{})
	w.order("one", "anna")
	w.order("two", "anna", "--emergency", "--life", "1h")
	dir := t.TempDir()
	var r struct {
		Entries uint64
		Laws    []struct {
			Statistics []struct {
				Span           string
				Orders, Urgent int
			}
		}
	}
	out := w.writ("audit", w.path("notary", "log"), "--policy", "policy.txt", "--json", "--csv", dir, "--html", filepath.Join(dir, "page.html"))
	must(t, json.Unmarshal([]byte(out), &r))
	orders, urgent := 0, 0
	for _, e := range w.entries() {
		if e.Warrant != nil {
			orders++
			if e.Warrant.IsEmergency() {
				urgent++
			}
		}
	}
	if all := r.Laws[0].Statistics[0]; all.Span != "all" || all.Orders != orders || all.Urgent != urgent || orders != 2 || urgent != 1 {
		t.Errorf("reported %+v, on the log %d and %d", all, orders, urgent)
	}
	for _, name := range []string{"page.html", "numbers.csv", "counts.csv", "cap.csv", "findings.csv", "versions.csv", "witnesses.csv", "not-recorded.csv"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(b) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.auditUnderOtherWitnesses()
}

// auditUnderOtherWitnesses audits with a policy of before or after an amendment that
// replaced a witness: who has not cosigned is named, and what to do.
func (w *world) auditUnderOtherWitnesses() {
	w.t.Helper()
	secret, err := witness.GenerateKey("gone.example", rand.Reader)
	must(w.t, err)
	key, err := witness.ParseKey(secret)
	must(w.t, err)
	lines := strings.Split(w.policy.String(), "\n")
	for i, l := range lines {
		if f := strings.Fields(l); len(f) == 3 && f[0] == "witness" {
			lines[i] = "witness " + f[1] + " " + key.VKey()
			break
		}
	}
	text := strings.Replace(strings.Join(lines, "\n"), "group most 2 ", "group most all ", 1) // which needs that one
	must(w.t, os.WriteFile(w.path("other.txt"), []byte(text), 0o600))
	r := w.run("audit", w.Deployment.Ledger, "--policy", w.path("other.txt"))
	if r.code != 4 || !strings.Contains(r.errors, "not by ") || !strings.Contains(r.errors, "hint: the law may name other witnesses") {
		w.t.Errorf("exit code %d\n%s", r.code, r.errors)
	}
}

// R31: a drill from intake to verified evidence, on real processes with one
// custodian of each office stopped, and approvers who come when they are called.
// The law gives eight hours in an emergency.
func TestDrillR31(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{})
	away := []string{"judicial/judicial-3", "oversight/oversight-1", "publication/publication-2"}
	for _, who := range away {
		w.kill("custodian/" + filepath.Base(who))
	}
	people := make(chan error, 1)
	go func() {
		for _, who := range []string{"judge-1", "commissioner-2"} {
			for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
				r := w.run("warrant", "approve", "latest", "--yes", "--deployment", w.path("deployment.json"), "--key", w.path("keys", who+".key"))
				if r.code == 0 {
					break
				}
				if time.Now().After(end) {
					people <- errors.New(who + ": " + r.errors)
					return
				}
			}
		}
		people <- nil
	}()
	var d struct {
		Machines float64  `json:"machines_seconds"`
		People   float64  `json:"people_seconds"`
		Holds    bool     `json:"holds"`
		Released []string `json:"released"`
		Away     []string `json:"gave_no_share"`
		Parts    int      `json:"compartments"`
		Bundle   string   `json:"bundle"`
		Stages   []struct{ Stage string }
	}
	out := w.writ("drill", "--case", "d1", "--json")
	must(t, <-people)
	must(t, json.Unmarshal([]byte(out), &d))
	if !d.Holds || len(d.Stages) != 6 || len(d.Released) != 4 || strings.Join(d.Away, " ") != strings.Join(away, " ") || d.Parts != 1 || d.People == 0 {
		t.Errorf("the drill: %s", out)
	}
	if d.Machines > 60 {
		t.Errorf("machines took %.0f s", d.Machines)
	}
	t.Logf("machines %.1f s, people %.1f s", d.Machines, d.People)
	plain := w.path("d1.writ")
	w.writ("bundle", "export", d.Bundle, "--deployment", w.path("deployment.json"), "--key", w.path("agency", "drill", "d1.key"), "--out", plain)
	w.writ("verify", plain, "--policy", "policy.txt")
	var r struct {
		Laws []struct {
			Statistics []struct {
				Kind                              string
				Orders, Openings, Opened, Refused int
			}
		}
	}
	must(t, json.Unmarshal([]byte(w.writ("audit", w.Deployment.Ledger, "--policy", "policy.txt", "--json")), &r))
	for _, table := range r.Laws[0].Statistics {
		if want := map[string]int{"drills": 1}[table.Kind]; table.Orders != want || table.Openings != want {
			t.Errorf("%s: %+v", table.Kind, table)
		}
	}
	if again := w.writ("drill", "--case", "d1", "--json"); again != out {
		t.Errorf("repeated, the drill says\n%s", again)
	}
	if r := w.run("drill", "--case", "d1", "--within", "1ms"); r.code != 1 || !strings.Contains(r.errors, "took longer") {
		t.Errorf("too late: exit code %d\n%s", r.code, r.errors)
	}
}
