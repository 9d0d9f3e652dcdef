import java.io.FileInputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * A client on Java's JSSE: GETs a path over one connection after another and says, one JSON line each, what came.
 * JSSE has no question "was it resumed?": a session that is as old as the one before it was.
 *
 *   java Client.java --address 127.0.0.1:443 --name localhost --ca ca.pem --path /file --connections 2
 */
public final class Client {
  private static final Pattern CONTENT_LENGTH = Pattern.compile("(?i)\r\ncontent-length: (\\d+)");

  public static void main(String[] args) throws Exception {
    Map<String, String> options = new HashMap<>();
    for (int i = 0; i < args.length; i += 2) options.put(args[i].substring(2), args[i + 1]);
    String[] address = options.get("address").split(":");
    if (options.containsKey("groups")) System.setProperty("jdk.tls.namedGroups", options.get("groups"));

    SSLContext context = SSLContext.getInstance("TLS");
    context.init(
        options.containsKey("p12") ? keys(options.get("p12")) : null, roots(options.get("ca")), null);
    long created = 0;
    for (int i = 0; i < Integer.parseInt(options.getOrDefault("connections", "1")); i++) {
      try (SSLSocket socket =
          (SSLSocket) context.getSocketFactory().createSocket(address[0], Integer.parseInt(address[1]))) {
        SSLParameters parameters = socket.getSSLParameters();
        parameters.setServerNames(java.util.List.of(new javax.net.ssl.SNIHostName(options.get("name"))));
        parameters.setApplicationProtocols(new String[] {"http/1.1"});
        if (options.containsKey("version")) parameters.setProtocols(new String[] {"TLSv" + options.get("version")});
        socket.setSSLParameters(parameters);
        socket.startHandshake();
        // The server does not close: JSSE fails over a close_notify that comes while it asks for new keys.
        String request = "GET " + options.get("path") + " HTTP/1.1\r\nHost: " + options.get("name") + "\r\n\r\n";
        socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
        InputStream in = socket.getInputStream();
        String head = head(in);
        int status = Integer.parseInt(head.substring(9, 12));
        Matcher length = CONTENT_LENGTH.matcher(head);
        if (!length.find()) throw new IllegalStateException(head);
        byte[] body = in.readNBytes(Integer.parseInt(length.group(1)));
        boolean resumed = socket.getSession().getCreationTime() == created;
        created = socket.getSession().getCreationTime();
        System.out.printf(
            "{\"version\":\"%s\",\"suite\":\"%s\",\"resumed\":%b,\"protocol\":\"%s\",\"status\":%d,\"length\":%d,\"sha256\":\"%s\"}%n",
            socket.getSession().getProtocol().replace("TLSv", ""),
            socket.getSession().getCipherSuite(),
            resumed,
            socket.getApplicationProtocol(),
            status,
            body.length,
            HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body)));
      }
      // Sessions are told apart by their millisecond.
      Thread.sleep(20);
    }
  }

  private static String head(InputStream in) throws Exception {
    StringBuilder head = new StringBuilder();
    while (head.indexOf("\r\n\r\n") < 0) {
      int next = in.read();
      if (next < 0) throw new IllegalStateException("the response ends in its head");
      head.append((char) next);
    }
    return head.toString();
  }

  private static javax.net.ssl.TrustManager[] roots(String file) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (InputStream in = new FileInputStream(file)) {
      int i = 0;
      for (Certificate root : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
        store.setCertificateEntry("root" + i++, root);
      }
    }
    TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    return factory.getTrustManagers();
  }

  private static javax.net.ssl.KeyManager[] keys(String file) throws Exception {
    KeyStore store = KeyStore.getInstance("PKCS12");
    try (InputStream in = new FileInputStream(file)) {
      store.load(in, "test".toCharArray());
    }
    KeyManagerFactory factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    factory.init(store, "test".toCharArray());
    return factory.getKeyManagers();
  }
}
