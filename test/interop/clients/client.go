// A client on Go's crypto/tls: GETs a path over one connection after another and says, one JSON line each, what came.
//
//	client -address 127.0.0.1:443 -name localhost -ca ca.pem -path /file -connections 2
package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

type report struct {
	Version  string `json:"version"`
	Suite    string `json:"suite"`
	Resumed  bool   `json:"resumed"`
	Protocol string `json:"protocol"`
	Status   int    `json:"status"`
	Length   int    `json:"length"`
	Sha256   string `json:"sha256"`
}

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
var groups = map[string]tls.CurveID{"X25519": tls.X25519, "P-256": tls.CurveP256, "P-384": tls.CurveP384}

func main() {
	address := flag.String("address", "", "host:port")
	name := flag.String("name", "localhost", "server name")
	ca := flag.String("ca", "", "PEM file of the root")
	path := flag.String("path", "/", "what to GET")
	connections := flag.Int("connections", 1, "one after another, with one session cache")
	version := flag.String("version", "", "1.2 or 1.3 alone")
	curves := flag.String("groups", "", "comma separated; a share is sent for the first")
	cert := flag.String("cert", "", "PEM chain of the client")
	key := flag.String("key", "", "its key")
	flag.Parse()

	roots := x509.NewCertPool()
	pem, err := os.ReadFile(*ca)
	check(err)
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{
		RootCAs:            roots,
		ServerName:         *name,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
	if *version != "" {
		config.MinVersion, config.MaxVersion = versions[*version], versions[*version]
	}
	for _, group := range strings.Split(*curves, ",") {
		if group != "" {
			config.CurvePreferences = append(config.CurvePreferences, groups[group])
		}
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		check(err)
		config.Certificates = []tls.Certificate{pair}
	}
	for i := 0; i < *connections; i++ {
		check(get(*address, *name, *path, config))
	}
}

func get(address, name, path string, config *tls.Config) error {
	connection, err := tls.Dial("tcp", address, config)
	if err != nil {
		return err
	}
	defer connection.Close()
	fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, name)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	state := connection.ConnectionState()
	digest := sha256.Sum256(body)
	return json.NewEncoder(os.Stdout).Encode(report{
		Version:  map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[state.Version],
		Suite:    tls.CipherSuiteName(state.CipherSuite),
		Resumed:  state.DidResume,
		Protocol: state.NegotiatedProtocol,
		Status:   response.StatusCode,
		Length:   len(body),
		Sha256:   hex.EncodeToString(digest[:]),
	})
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
