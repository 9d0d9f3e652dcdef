// Keys made for this and used nowhere else. Ed25519: RFC 8032 7.1, test 3; X25519: RFC 7748 5.2; the rest by
// OpenSSL 3.0.19 through node:crypto, the powers by multiplication of BigInts.
#include "ocf/key_known_answers.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "ocf/big_integer.hpp"

namespace socrypt::ocf {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes hex(std::string_view digits) {
  const auto value = [](char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  Bytes bytes(digits.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(value(digits[2 * i]) << 4 | value(digits[2 * i + 1]));
  return bytes;
}

struct Vectors {
  const Bytes rsaPrivate = hex(
      "308204be020100300d06092a864886f70d0101010500048204a8308204a40201000282010100b94670f7c183568fabd8967590a779132b1a"
      "d92cecc1260a110aff64d72c51ae3cf84b8eb9f24df0a102042f1dccf4288ea1d8e587524299f704e2627c111158d34620449c55d2a802d0"
      "784ff569c77e41722d4540fa3fd1231c10454168a76a11290e9e5f070ed4a21b2bab8ea319f5b1502a7bb82a69bb8d51626614956c8d6034"
      "bcf3857f9c884219f018475240e0dccdbe969828e0ef733eda6473a698b7232c942757d339c456691d54a4a51cbb80e87b13f2c99aa1892b"
      "be67ddd2c891cd62432c7a55d4f9c5c4e748941c0ded052e989b0ea987c2d1bf064af020e73c6cbf25268af2aa17d41f296a634d2a1e5e13"
      "0f928a3343999bba00519f0cb1370203010001028201001fa9aa24ad2d84dd88c0baf5dc82c26e442f926ddb08273811318ff3ebd1e7239f"
      "c7cf21d52553ac8bd78c5f80f845c1a89e8032b9ad95343ac2daed79c670f07d2abed8fadeafe1869999f6103ac39d1012332a62b061b79c"
      "086fbf662e3c6e2400a03ef07e844a5269d24cbf53a05c1cb156914e27f169dbfccc94257063dc7ac059be0124a7f5abd359a697b2537cda"
      "45ff731c67425a7ff1950c932009aa779cc65b1b1e67f7a69ad6e5a38e17316f9136d48563bcfa156abec9bbd2654802ac178b1f9d430a70"
      "71f7e917a5faddb2d7d47b53fb816b6d921cbab2b55cc0597b13042f48d9058e08e624efe20f086e6254cbfa0223f9e8714b37f4ff7c0102"
      "818100e795643ad8d58df2ea6e3d7ab4324d6374ee69d7bd4836536629e53491eacfc1db9ea2d79fdd62adf3212b6455d09fd7cafd230a53"
      "6c7a1effa1eede512490b6b45a59e5c51928a67617681d8666dda07480b55432a3f11de50572627828305326e35614170178e7497eab11de"
      "a5e2e996e428567b286de68110c54e0560146f02818100cccf270597645cf9d3ceae5d8b3daf1ebca7278df1ae39edeb28f53aaa968e3427"
      "34c13902b6dde5c7cba8c8f006585432339bedea257bfcff301d5502876d60c47506bbf04a82753e349ebb85514a8be2d6ae2d10e4ea999c"
      "52f13cf6243f312d183b57279361227bab00f48a584f031996b183667db711e7efbacd783963b902818030d9524b1771f47f48f3f803e9fe"
      "b254485601fd7fefbb85dc06fa521c756b5d78f5fd637e55347b7ccd8259a7c059f72ada3a89f30eeeb39b388d2a57f35e932b77e37e9414"
      "ba7e626a8d8bacce05f1d2a1539e6f1025cc2882fd9dc7bab276d7bd1c6b206f2f119a6f1da6a750568cef47313b0cbf7a6f24ca64d4104e"
      "3401028181009e58667607375c3ef7082b7d3d43229aa406a429353a9ba51b941e0d0e88ba470e2cd65aea835189eeefc17e213cf69b99f8"
      "96ccd9a3c379b61e8fff02a68be52ddec0a71b3fb01f4f49c5937b9e7f012a0f0ab8e2ffe9757c0c10612e7895b6c283a2955e8eaea1c775"
      "4d96c343454b434463d810ac8f96b37880378d84e95902818100e4d19d54f5559e0111011b3ea957ed2c97639b010db3cfd46dc761abd2b2"
      "7c7b0fd68e5fbd62f7e60796478de50d68031ec85b51ef70600a362bb20941558227453c9e4eb562ef07e261702c4dbeae47255494e9786b"
      "84d70105ccb1606b163f8f195a41cb0ded1bcccb871dd51b9c29c97cde3ce832fbbdf8bd20254e5c245f");
  const Bytes rsaPublic = hex(
      "30820122300d06092a864886f70d01010105000382010f003082010a0282010100b94670f7c183568fabd8967590a779132b1ad92cecc126"
      "0a110aff64d72c51ae3cf84b8eb9f24df0a102042f1dccf4288ea1d8e587524299f704e2627c111158d34620449c55d2a802d0784ff569c7"
      "7e41722d4540fa3fd1231c10454168a76a11290e9e5f070ed4a21b2bab8ea319f5b1502a7bb82a69bb8d51626614956c8d6034bcf3857f9c"
      "884219f018475240e0dccdbe969828e0ef733eda6473a698b7232c942757d339c456691d54a4a51cbb80e87b13f2c99aa1892bbe67ddd2c8"
      "91cd62432c7a55d4f9c5c4e748941c0ded052e989b0ea987c2d1bf064af020e73c6cbf25268af2aa17d41f296a634d2a1e5e130f928a3343"
      "999bba00519f0cb1370203010001");
  const Bytes rsaSignature = hex(
      "13dbf10953a8cb68959b9ec0fce1e6ca49ee1b9782b741c542be332e32fb9f3ce7f29d86b8679afe539098fe2a4d54378d107d173b21c12e"
      "c0f29ae08122a610e47ad8dd905f171835420f47c2efb9f1ea8e8d59cb6b582376154f2e18ec19ab2e391f818c0a4ceb195946ccece687ae"
      "477f696a7a1d929fc6df2ab3048f9546d0058de61c23899801ccb7965088bc387f63d90d87380367845ac9c74ae094a50aada6566278c213"
      "ce315a5bb1121a75c55fed6af1a4406b35e2b045faad753570b6cc0d4274b2cef1d9a32872348812e891a98a313fd428ddcb749ed01c5606"
      "bcb281f0f962847515176f390e9dbc3155c95e94c894d5cca49cd65b349c2c23");
  const Bytes rsaPss = hex(
      "3c7d0baf141ba868778d7c63b2948988f64b67cdb3f9c4aebe28c9ae4b739fcdea04b865cd1608f5d3e6bde74d98134e94d170368725e65a"
      "60e6d747f8fcc8a1abc25a0a19a3ab0da55849e528f86e945f069ee5bb2f53c86fa7f338c91e35d9cc8857213bdce3c21c210fc948740770"
      "066cd28f37de142d515c6278c7b33dc8832f636ccde9ff923c15ff5f9e22e425fdad28c512c0195aa3c23579766709bf18f46fe0010665fd"
      "44a05e6bb4140e6a5ec19e802b55aaa221edb722732c13c1eb4985411b7a552ccca2fa5310c5f50b73335bb54d3011171a8359bb147d76b2"
      "0e409c000992fdf54c40e5c108fdbdb0d8ad06613211e5a61e8b94296a757b61");
  const Bytes base = hex(
      "9225b916768c9d224ca68a3c74052617df0f59f85647fdd88e2b130d29a60bb8b66a94b0a10812c7ef2b94326eeb71f73e309f76e16f5110"
      "bc4472b706c117319225b916768c9d224ca68a3c74052617df0f59f85647fdd88e2b130d29a60bb8b66a94b0a10812c7ef2b94326eeb71f7"
      "3e309f76e16f5110bc4472b706c117319225b916768c9d224ca68a3c74052617df0f59f85647fdd88e2b130d29a60bb8b66a94b0a10812c7"
      "ef2b94326eeb71f73e309f76e16f5110bc4472b706c117319225b916768c9d224ca68a3c74052617df0f59f85647fdd88e2b130d29a60bb8"
      "b66a94b0a10812c7ef2b94326eeb71f73e309f76e16f5110bc4472b706c11731");
  const Bytes modulus = hex(
      "b94670f7c183568fabd8967590a779132b1ad92cecc1260a110aff64d72c51ae3cf84b8eb9f24df0a102042f1dccf4288ea1d8e587524299"
      "f704e2627c111158d34620449c55d2a802d0784ff569c77e41722d4540fa3fd1231c10454168a76a11290e9e5f070ed4a21b2bab8ea319f5"
      "b1502a7bb82a69bb8d51626614956c8d6034bcf3857f9c884219f018475240e0dccdbe969828e0ef733eda6473a698b7232c942757d339c4"
      "56691d54a4a51cbb80e87b13f2c99aa1892bbe67ddd2c891cd62432c7a55d4f9c5c4e748941c0ded052e989b0ea987c2d1bf064af020e73c"
      "6cbf25268af2aa17d41f296a634d2a1e5e130f928a3343999bba00519f0cb137");
  const Bytes exponent = hex(
      "1fa9aa24ad2d84dd88c0baf5dc82c26e442f926ddb08273811318ff3ebd1e7239fc7cf21d52553ac8bd78c5f80f845c1a89e8032b9ad9534"
      "3ac2daed79c670f07d2abed8fadeafe1869999f6103ac39d1012332a62b061b79c086fbf662e3c6e2400a03ef07e844a5269d24cbf53a05c"
      "1cb156914e27f169dbfccc94257063dc7ac059be0124a7f5abd359a697b2537cda45ff731c67425a7ff1950c932009aa779cc65b1b1e67f7"
      "a69ad6e5a38e17316f9136d48563bcfa156abec9bbd2654802ac178b1f9d430a7071f7e917a5faddb2d7d47b53fb816b6d921cbab2b55cc0"
      "597b13042f48d9058e08e624efe20f086e6254cbfa0223f9e8714b37f4ff7c01");
  const Bytes p = hex(
      "e795643ad8d58df2ea6e3d7ab4324d6374ee69d7bd4836536629e53491eacfc1db9ea2d79fdd62adf3212b6455d09fd7cafd230a536c7a1e"
      "ffa1eede512490b6b45a59e5c51928a67617681d8666dda07480b55432a3f11de50572627828305326e35614170178e7497eab11dea5e2e9"
      "96e428567b286de68110c54e0560146f");
  const Bytes q = hex(
      "cccf270597645cf9d3ceae5d8b3daf1ebca7278df1ae39edeb28f53aaa968e342734c13902b6dde5c7cba8c8f006585432339bedea257bfc"
      "ff301d5502876d60c47506bbf04a82753e349ebb85514a8be2d6ae2d10e4ea999c52f13cf6243f312d183b57279361227bab00f48a584f03"
      "1996b183667db711e7efbacd783963b9");
  const Bytes dp = hex(
      "30d9524b1771f47f48f3f803e9feb254485601fd7fefbb85dc06fa521c756b5d78f5fd637e55347b7ccd8259a7c059f72ada3a89f30eeeb3"
      "9b388d2a57f35e932b77e37e9414ba7e626a8d8bacce05f1d2a1539e6f1025cc2882fd9dc7bab276d7bd1c6b206f2f119a6f1da6a750568c"
      "ef47313b0cbf7a6f24ca64d4104e3401");
  const Bytes dq = hex(
      "9e58667607375c3ef7082b7d3d43229aa406a429353a9ba51b941e0d0e88ba470e2cd65aea835189eeefc17e213cf69b99f896ccd9a3c379"
      "b61e8fff02a68be52ddec0a71b3fb01f4f49c5937b9e7f012a0f0ab8e2ffe9757c0c10612e7895b6c283a2955e8eaea1c7754d96c343454b"
      "434463d810ac8f96b37880378d84e959");
  const Bytes qInverse = hex(
      "e4d19d54f5559e0111011b3ea957ed2c97639b010db3cfd46dc761abd2b27c7b0fd68e5fbd62f7e60796478de50d68031ec85b51ef70600a"
      "362bb20941558227453c9e4eb562ef07e261702c4dbeae47255494e9786b84d70105ccb1606b163f8f195a41cb0ded1bcccb871dd51b9c29"
      "c97cde3ce832fbbdf8bd20254e5c245f");
  const Bytes power = hex(
      "7d769f386a2572766b1152117490f31611b3650c2d6572a48c2b12ff24482765eacebfab500ff99324b7fa439b49d99926b370b34ecfc94b"
      "b295e78a75e4590f5571bd41d26ab55db425987a6fa7620489b31b7214f05efa9172ac0b44af7c0ff89f718574efec37bd03ca12b23d2d5c"
      "14e32ee16b042bc671d2bf5cee8407a629a075e0581c677e143890a818458d7d126524054bf327e7eaca45163d68acf26dc5092c11c7a431"
      "013a16515f24dca8114bfe951124d504b78c7aa7b1e6a653f19e102f8df03ff7769595f7fb052a7c4676d692f588e5146b2fd9590a1641f6"
      "71d53430723d677048e8d229ea2a0da447f3af2d4590adc35e6ef4e4a583a9b3");
  const Bytes ecdsa256Private = hex(
      "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420d69e9f20690ed1f348d355dcbaa3e531cf489240"
      "fd44958d85bf435608966001a144034200045ee687ba7492682511fd8327551af146fdc4b212b835ab292e1ea54d8a61c0dbe7d7ddc90c7d"
      "fc91d2f35a66bc8734bc82a739a5511580c0594ad69cc2242f44");
  const Bytes ecdsa256Public = hex(
      "3059301306072a8648ce3d020106082a8648ce3d030107034200045ee687ba7492682511fd8327551af146fdc4b212b835ab292e1ea54d8a"
      "61c0dbe7d7ddc90c7dfc91d2f35a66bc8734bc82a739a5511580c0594ad69cc2242f44");
  const Bytes ecdsa256Signature = hex(
      "3046022100bc00061de41b9cf6b76effb721b6c5c6f1b272bcb93c50aa5cf96b4f509a382c022100a65495e6c0fe378821f01d045841f7a9"
      "e929263e1f9e1d8507ca5872e5321eda");
  const Bytes ecdh256Scalar = hex(
      "dbe5d9bced07c83a5c7f6c44d26e8bfab6bce2f177a2969f9d14f0fadfc3c083");
  const Bytes ecdh256Point = hex(
      "0494cd1a48f54b675a45b5e03509b3b5371c813b9e577eac97ce68872096e7b20c84175d98e613842856f1663724e1a137406f491614cb54"
      "9f6fafdbfafc844f54");
  const Bytes ecdh256Secret = hex(
      "1d32eaf36b622299e73313822b8212798776f7e2016b3ae0e37bf148618f2936");
  const Bytes ecdsa384Private = hex(
      "3081b6020100301006072a8648ce3d020106052b8104002204819e30819b020101043013aa8ed4137293d44daf35d72390e5b174129c9443"
      "797ab8ddf158b3a8140cb134c58e8be299f47ca078d31d1606ff92a16403620004be8d89336f5a3a9937919a89880e4ab503bcfa8240fc6b"
      "c952276dda8380346833bef5eabca1e87be5695c57a35d095440afa6624464c59464be691a65c19f5849dcfcf3e414d691745f2d1e711b36"
      "4c72f9d5e6e0cd7b3d0ed2706ad8a18b3f");
  const Bytes ecdsa384Public = hex(
      "3076301006072a8648ce3d020106052b8104002203620004be8d89336f5a3a9937919a89880e4ab503bcfa8240fc6bc952276dda83803468"
      "33bef5eabca1e87be5695c57a35d095440afa6624464c59464be691a65c19f5849dcfcf3e414d691745f2d1e711b364c72f9d5e6e0cd7b3d"
      "0ed2706ad8a18b3f");
  const Bytes ecdsa384Signature = hex(
      "306502303ba0fd8b2830caa9f1383f5b37cd9b1b901c54226b70649e903f49ca11c1fd0541efe4ec8bc5180d8738bbd8ee003e31023100a8"
      "db257b6a45e2336a9733824a0d478855908b518a650785d50a4e34ab3e658e3c90e22953d701a6852fbe2f661c1416");
  const Bytes ecdh384Scalar = hex(
      "0f3969a832b500b2f21f4ebdb4178295db35715a454693a866908ea56a4990a929cc904e6a66bc85d4f2889bf4484511");
  const Bytes ecdh384Point = hex(
      "04ae03853af87c04aba23cb7fd1060b590d26dd88e9bd1c9a1de02103041dd43837e1a56e9b56eecd2e0240bc10a47c5551c752e103bd7d8"
      "d131cf240fe99596a331aee1dc50df35b6dd35bdad7dfb0f29f6e99d2a24542261b86925cf1a2a0302");
  const Bytes ecdh384Secret = hex(
      "5f3f3f1d502ba7962dc0697a0ce0006deff29968e371f6b201273c6fabc2bf227bdc5562400440ccfe5b089846f792f0");
  const Bytes ed25519Private = hex(
      "302e020100300506032b657004220420c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7");
  const Bytes ed25519Public = hex(
      "302a300506032b6570032100fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
  const Bytes ed25519Text = hex(
      "af82");
  const Bytes ed25519Signature = hex(
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
      "c027beceea1ec40a");
  const Bytes x25519Scalar = hex(
      "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
  const Bytes x25519Point = hex(
      "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
  const Bytes x25519Secret = hex(
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  const Bytes dhPrime = hex(
      "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b"
      "302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe6"
      "49286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d"
      "670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718"
      "3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff");
  const Bytes dhPrivate = hex(
      "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881");
  const Bytes dhPublic = hex(
      "346f1d3f6cd0692813d54a78ccc1c848ef2b21daff73a8f91f6a7bf7dcf2979714bb366f5f60219681112b9f69a75a5c41abfd8820c78691"
      "a3e8d54486cbf1a520ff5cb6088a9b85c1f837c6bd4ba6306f764b627d0cde6f091d59f9d5256de0e2a47d52c4adec207468535088eaeaab"
      "0ae645d80c7185b1fd9d4f8ea827ad96cdf46b30fcf0325e25ab98f2a6bfff3f97b400d89891996035875959aab3058d66745bcd09a5e551"
      "df54eb34fd8b1128221efe9e7aa9a1d55fea85b8e9cb476dd64393f0d901df19d627e29b17a7ff060978a975d404f0975dd54f34e3b65d62"
      "7348266521259466dc887cae63b18134303f40ffbd84fab1367eae624980f5f1");
  const Bytes dhSecret = hex(
      "47529680ed32941a07ca064d9b1fa366284a7d68e2d41bad188b97bafd2e43b3b2a0ad3af2ca05113236d6582431139138c49ccb9f3a90ff"
      "3d4366dc5bec39dd6e0f7e05ccfce5f7d01c29361bf1d333091c22e29a88e7cb777fc759560f93be498eaf6e35a20c6af5269db1b8722f2e"
      "4a9ffc05c0d4d5542b1735404cb254deea4fad78ee60443eef255209d9bac17752d29177f3b385689a62ceec50bcd67fff78b74703e869a5"
      "a97e066117b6e42f41940eb90527f786fe5564470d874fe43bdc2dd589022a59e758a7c7f81dbee0842a9ee9535ae33fecc9f2a877d3ed6e"
      "a2cedcbb0ff60456d68786604c5f08b5001187629a115936148efdd8cb89092e");
  const Bytes dsaP = hex(
      "e3d3a62a6347f2f3000c70e42e2b9b656e63a9e68e18759624c624c3219a22575b074d861ca1b2760919c85c66a892d9fbe9fc8f0185a205"
      "5cb8363a8a2a57ec33fcd864e1cd27f58caec30f448d9b18ccaea5630a9b0c8b31d2ef6982f49dd644b0d8d4e7a3a3bac06cfca7c026a4ba"
      "1a7094f747db188900d4a79bafb39a63");
  const Bytes dsaQ = hex(
      "cf7fb1308dc414a04db943e26e0e30d90cdecb83");
  const Bytes dsaG = hex(
      "9b921c3bbaef882d89f544025c1f59737e1fd7b3a4b729d1cca89e154f61bda4de77d38b94e671a1f7f071481b4e560d8cf0c9cd22ffef56"
      "a04a797d8040551d0feaa4c02dec12903b58b3aebe9f68f088b67b11d1817065363d669c04b6c5e2e4930f3eef453d7ff9497ab5acc85af8"
      "b81f1b89b55bb6b0c760b5ff453f7d25");
  const Bytes dsaX = hex(
      "0eb0212dae07c503a9cdcf07e310d6517f23765b");
  const Bytes dsaY = hex(
      "2c557dc423def52663aa54b378eb3da827d8261b7bee1d71fa2ecbfab9819bef86eb4030adb28a55e8ece614709eb91fe59ecbb400f50551"
      "f9788b7973e0109bb78520060a011dcd33525217e29b5b0ac8fcae92458bc4e5e8cb2c1721d2c2ac312fe639bb38a6b951ee30bc0d5abd6e"
      "fb0c7f673610117027750e82f9be4c27");
  const Bytes dsaDigest = hex(
      "2e7a17531ee211c0522a190a34f4945ed6296d87");
  const Bytes dsaR = hex(
      "1288f8bb294357326d96ee5efa1e3714baa787bc");
  const Bytes dsaS = hex(
      "8b0330c5eba61dbb5cb05311f20b084cd058e3e5");
  const Bytes text = hex(
      "736f6372797074206b6e6f776e20616e73776572");
  const Bytes zeros = Bytes(32, 0);
  const Bytes other = hex("6f74686572");
  const Bytes offCurve = [this] {
    Bytes point = ecdh256Point;
    point[64] ^= 1;
    return point;
  }();

  const std::vector<KeyKnownAnswer> all{
      {AlgId::Rsa, Kind::Sign, 0x0401, rsaPrivate, {text}, {rsaSignature}, 1, Status::Ok, {}},
      {AlgId::Rsa, Kind::Sign, 0x0804, rsaPrivate, {text}, {}, 1, Status::Ok, rsaPublic},
      {AlgId::Rsa, Kind::VerifySig, 0x0804, rsaPublic, {text, rsaPss}, {}, 0, Status::Ok, {}},
      {AlgId::Rsa, Kind::VerifySig, 0x0401, rsaPublic, {other, rsaSignature}, {}, 0, Status::BadTag, {}},
      {AlgId::EcdsaP256, Kind::Sign, 0x0403, ecdsa256Private, {text}, {}, 1, Status::Ok, ecdsa256Public},
      {AlgId::EcdsaP256, Kind::VerifySig, 0x0403, ecdsa256Public, {text, ecdsa256Signature}, {}, 0, Status::Ok, {}},
      {AlgId::EcdsaP256, Kind::VerifySig, 0x0403, ecdsa256Public, {other, ecdsa256Signature}, {}, 0, Status::BadTag, {}},
      {AlgId::EcdsaP384, Kind::Sign, 0x0503, ecdsa384Private, {text}, {}, 1, Status::Ok, ecdsa384Public},
      {AlgId::EcdsaP384, Kind::VerifySig, 0x0503, ecdsa384Public, {text, ecdsa384Signature}, {}, 0, Status::Ok, {}},
      {AlgId::EcdsaP384, Kind::VerifySig, 0x0503, ecdsa384Public, {other, ecdsa384Signature}, {}, 0, Status::BadTag, {}},
      {AlgId::Ed25519, Kind::Sign, 0x0807, ed25519Private, {ed25519Text}, {ed25519Signature}, 1, Status::Ok, {}},
      {AlgId::Ed25519, Kind::VerifySig, 0x0807, ed25519Public, {ed25519Text, ed25519Signature}, {}, 0, Status::Ok, {}},
      {AlgId::Ed25519, Kind::VerifySig, 0x0807, ed25519Public, {other, ed25519Signature}, {}, 0, Status::BadTag, {}},
      {AlgId::Dsa, Kind::Sign, 0, {}, {dsaDigest, dsaP, dsaQ, dsaG, dsaX}, {}, 2, Status::Ok, dsaY},
      {AlgId::Dsa, Kind::VerifySig, 0, {}, {dsaDigest, dsaP, dsaQ, dsaG, dsaY, dsaR, dsaS}, {}, 0, Status::Ok, {}},
      {AlgId::Dsa, Kind::VerifySig, 0, {}, {dsaDigest, dsaP, dsaQ, dsaG, dsaY, dsaS, dsaR}, {}, 0, Status::BadTag, {}},
      {AlgId::X25519, Kind::Derive, 0, x25519Scalar, {x25519Point}, {x25519Secret}, 1, Status::Ok, {}},
      {AlgId::X25519, Kind::Derive, 0, x25519Scalar, {zeros}, {}, 1, Status::BadTag, {}},
      {AlgId::EcdhP256, Kind::Derive, 0, ecdh256Scalar, {ecdh256Point}, {ecdh256Secret}, 1, Status::Ok, {}},
      {AlgId::EcdhP256, Kind::Derive, 0, ecdh256Scalar, {offCurve}, {}, 1, Status::BadTag, {}},
      {AlgId::EcdhP384, Kind::Derive, 0, ecdh384Scalar, {ecdh384Point}, {ecdh384Secret}, 1, Status::Ok, {}},
      {AlgId::Dh, Kind::Derive, 0, {}, {dhPrivate, dhPublic, dhPrime}, {dhSecret}, 1, Status::Ok, {}},
      {AlgId::ModExp, Kind::ModExp, 0, {}, {base, exponent, modulus}, {power}, 1, Status::Ok, {}},
      {AlgId::ModExpCrt, Kind::ModExpCrt, 0, {}, {base, p, q, dp, dq, qInverse}, {power}, 1, Status::Ok, {}},
  };
};

}  // namespace

uint16_t KeyKnownAnswer::nIn() const noexcept {
  return static_cast<uint16_t>(std::find_if(in.begin(), in.end(), [](View one) { return one.empty(); }) - in.begin());
}

std::span<const KeyKnownAnswer> keyKnownAnswers() noexcept {
  static const Vectors vectors;
  return vectors.all;
}

bool answersRight(const KeyKnownAnswer& known, const Op& op) noexcept {
  if (op.status != known.status) return false;
  if (known.status != Status::Ok || known.nOut == 0) return true;
  const std::span<const uint8_t> first{op.out[0].p, op.out[0].n};
  if (known.verifyKey.empty()) return std::equal(first.begin(), first.end(), known.out[0].begin(), known.out[0].end());
  const key::Verdict verdict =
      known.alg == AlgId::Dsa
          ? key::dsaVerify(known.in[0], known.in[1], known.in[2], known.in[3], known.verifyKey, first, {op.out[1].p, op.out[1].n})
          : key::verify(known.scheme, known.verifyKey, known.in[0], first);
  return verdict == key::Verdict::Good;
}

}  // namespace socrypt::ocf
