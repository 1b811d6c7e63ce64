package dev.agentmemory.client;

import java.security.SecureRandom;
import java.util.regex.Pattern;

/** Ids that sort by time: 48 bits of time, 80 of chance. */
final class Ulid {
    private static final char[] DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ".toCharArray();
    private static final Pattern FORM = Pattern.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}");
    private static final SecureRandom RANDOM = new SecureRandom();

    private Ulid() {}

    static String next() {
        char[] id = new char[26];
        long time = System.currentTimeMillis();
        for (int i = 9; i >= 0; i--, time >>>= 5) {
            id[i] = DIGITS[(int) (time & 31)];
        }
        for (int i = 10; i < id.length; i++) {
            id[i] = DIGITS[RANDOM.nextInt(32)];
        }
        return new String(id);
    }

    static boolean matches(String id) {
        return FORM.matcher(id).matches();
    }
}
