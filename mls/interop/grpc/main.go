package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:50051", "`address` to listen on")
	all := flag.Bool("all", false, "offer suites with private-use code points too")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "Serves the MLS library to the interop runner of the MLS working group.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatalf("error: %v\nhint: choose another address with -listen", err)
	}
	log.Printf("listening on %s", l.Addr())
	log.Fatal(newServer(*all).serve(l))
}
