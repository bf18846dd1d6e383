package operator

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"writ/notice/beacon"
)

// Handler serves the protocol, all of it below /beacon/.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /beacon/chains", s.serveChains)
	mux.HandleFunc("GET /beacon/{chain}/info", s.serveInfo)
	mux.HandleFunc("GET /beacon/{chain}/public/{round}", s.serveRound)
	mux.HandleFunc("GET /beacon/group/{group}/partial/{round}", s.servePartial)
	return mux
}

func (s *Server) serveChains(w http.ResponseWriter, _ *http.Request) {
	chains := []string{}
	seen := map[[32]byte]bool{}
	for _, g := range s.config.Keys.Groups() {
		if chain := g.Beacon().Chain(); !seen[chain] {
			seen[chain] = true
			chains = append(chains, hex.EncodeToString(chain[:]))
		}
	}
	b, _ := json.Marshal(chains)
	answer(w, b)
}

func (s *Server) serveInfo(w http.ResponseWriter, r *http.Request) {
	if b := s.beacon(r.PathValue("chain")); b != nil {
		answer(w, b.InfoJSON())
		return
	}
	http.NotFound(w, r)
}

// serveRound makes a round's signature, if it has come.
func (s *Server) serveRound(w http.ResponseWriter, r *http.Request) {
	b := s.beacon(r.PathValue("chain"))
	if b == nil {
		http.NotFound(w, r)
		return
	}
	n, err := strconv.ParseUint(r.PathValue("round"), 10, 64)
	if r.PathValue("round") == "latest" {
		n, err = b.Round(s.now()), nil
	}
	at, timeErr := b.Time(n)
	switch {
	case err != nil || timeErr != nil:
		http.NotFound(w, r)
		return
	case at > s.now():
		http.Error(w, "the round has not come", http.StatusTooEarly)
		return
	}
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	default:
		unavailable(w, errors.New("busy"))
		return
	}
	signature, err := s.sign(r.Context(), b.Key, n)
	if err != nil {
		unavailable(w, err)
		return
	}
	answer(w, signature.JSON())
}

// servePartial signs a round with one share, if it has come.
func (s *Server) servePartial(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseUint(r.PathValue("round"), 10, 64)
	for _, h := range s.config.Keys.held {
		if hash := h.group.Hash(); err != nil || hex.EncodeToString(hash[:]) != r.PathValue("group") {
			continue
		}
		partial, err := h.share.Sign(n, s.now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusTooEarly)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(partial)
		return
	}
	http.NotFound(w, r)
}

// beacon returns the beacon with a chain hash, or nil.
func (s *Server) beacon(chain string) *beacon.Beacon {
	for _, g := range s.config.Keys.Groups() {
		if hash := g.Beacon().Chain(); hex.EncodeToString(hash[:]) == chain {
			return g.Beacon()
		}
	}
	return nil
}

func answer(w http.ResponseWriter, b []byte) {
	w.Header().Set("Access-Control-Allow-Origin", "*") // browsers ask for rounds too
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
}

func unavailable(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}
